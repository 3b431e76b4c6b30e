"""Work that is done once, however many want its outcome at the same time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedWork(Generic[K, T]):
    """What is under way in this process, by what it is about, and for `keep_s` what came of it.

    `expected`: how it may fail without that being a bug. A failure is nobody's but theirs who wait for it.
    """

    def __init__(self, name: str, *, expected: tuple[type[Exception], ...], keep_s: float = 0.0) -> None:
        self._name, self._expected, self._keep_s = name, expected, keep_s
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def outcome(self, key: K, work: Callable[[], Coroutine[Any, Any, T]], *, limit_s: float) -> T:
        """What comes of `work`, or of the same that another began. Raises: TimeoutError, and what it raises.

        Whoever leaves, or has waited for `limit_s`, takes nothing from the others: `work` bounds itself.
        """
        task = self._tasks.get(key)
        if task is None:
            # In a context of its own: it may outlive the request that is the first to ask.
            task = asyncio.create_task(work(), name=f"{self._name}-{key}", context=contextvars.Context())
            self._tasks[key] = task
            task.add_done_callback(lambda task: self._done(key, task))
        async with asyncio.timeout(limit_s):
            return await asyncio.shield(task)

    def _done(self, key: K, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, self._expected):
            log.error(f"{self._name}_failed", about=str(key), exc_info=error)
        if self._keep_s and error is None and not task.cancelled():
            asyncio.get_running_loop().call_later(self._keep_s, self._forget, key, task)
        else:
            self._forget(key, task)

    def _forget(self, key: K, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def aclose(self) -> None:
        """End what is under way, and forget what came of the rest."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
