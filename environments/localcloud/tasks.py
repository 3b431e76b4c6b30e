"""Who owns which asyncio task."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class TaskOwner:
    """Holds tasks, reports what they raise, and ends them with `aclose()`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `work` as a task that belongs to this owner."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._collect)
        return task

    def _collect(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed", task.get_name(), exc_info=error)

    async def aclose(self) -> None:
        """Cancel what still runs and wait until it has ended; the calling task, if one of ours, is spared."""
        ours = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours)


async def settled(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; when cancelled meanwhile, still wait for its end, so that nothing is left half done behind us."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking code in a thread; as a thread can't be cancelled, a cancelled caller waits for its end."""
    return await settled(asyncio.to_thread(function, *args, **kwargs))
