"""Checks that may hang, run so that nobody hangs with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import close_old_connections


class OwnThread:
    """A sync check in a thread of its own. Who asks while it runs gets its answer, so that no more than one ever waits.

    Awaiting it can be given up at any moment, which Django's own hop to a thread can't: that waits for the thread.
    """

    def __init__(self, check: Callable[[], bool], *, name: str) -> None:
        self._check = check
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._running: Future[bool] | None = None

    async def __call__(self) -> bool:
        """Raises what the check raises."""
        if self._running is None or self._running.done():
            self._running = self._thread.submit(self._run)
        answer = asyncio.wrap_future(self._running)
        answer.add_done_callback(_heard)
        await asyncio.wait({answer})  # which, cancelled, leaves the check to the others
        return answer.result()

    def _run(self) -> bool:
        close_old_connections()  # one that broke is no use
        try:
            return self._check()
        finally:
            close_old_connections()


def _heard(answer: asyncio.Future[bool]) -> None:
    """So that asyncio doesn't complain of a failure that nobody waited for."""
    if not answer.cancelled():
        answer.exception()


class Remembered:
    """A value and its age, for when the cache that all processes share is away."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._value: bool | None = None
        self._at = float("-inf")

    def get(self) -> bool | None:
        return self._value if time.monotonic() - self._at < self._keep_s else None

    def set(self, value: bool) -> None:
        self._value, self._at = value, time.monotonic()
