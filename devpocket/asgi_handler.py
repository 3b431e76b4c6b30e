"""Django's ASGI handler, with threads that are kept from one request to the next.

Django gives every request a thread of its own, and makes and joins it: with it go the thread's database wrapper and all
that it has found out about the server. That was a quarter of what a short request cost (docs/development.md).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections

IDLE_MAX = 32  # threads that wait for a request; more come and go with what is asked at once


class OneThread(ThreadPoolExecutor):
    """Where the sync parts of one request at a time run."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="request")
        self._unfinished: set[Future[Any]] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(work, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    @property
    def is_idle(self) -> bool:
        return not self._unfinished


class KeptThreadsHandler(ASGIHandler):
    def __init__(self) -> None:
        super().__init__()
        self._idle: list[OneThread] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Django handles HTTP, not {scope['type']}.")
        thread = self._idle.pop() if self._idle else OneThread()
        is_whole = False
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
            is_whole = True
        finally:
            # A client that left may leave a query behind, which the next request would have to wait for.
            if is_whole and thread.is_idle and len(self._idle) < IDLE_MAX:
                self._idle.append(thread)
            else:
                thread.submit(close_old_connections)  # what broke off has not given its connection back
                thread.shutdown(wait=False)
