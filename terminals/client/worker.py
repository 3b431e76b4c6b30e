"""A thread for calls that block: writing to a terminal somebody has stopped, asking a server that does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One daemon thread that does one call after the other.

    Unlike the threads of asyncio's executor it never keeps the process from ending, whatever it is stuck in.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            call, future = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 -- handed to the one who waits
                future.set_exception(error)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Do it after all that was submitted before."""
        future: Future[T] = Future()
        self._calls.put((call, future))
        return future

    async def run(self, call: Callable[[], T]) -> T:
        """Do it and wait. Cancelling gives up the waiting, not a call that has begun."""
        return await asyncio.wrap_future(self.submit(call))
