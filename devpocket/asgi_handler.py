"""Django's ASGI handler, with threads that are kept from one request to the next, and one trip to them a request.

Django gives every request a thread of its own, and makes and joins it: with it go the thread's database wrapper and all
that it has found out about the server. It also goes there before the view and after it, for what has to be closed. The
one was a quarter of what a short request cost, the other a tenth of what was left (docs/development.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

IDLE_MAX = 32  # threads that wait for a request; more come and go with what is asked at once


class OneThread(ThreadPoolExecutor):
    """Where the sync parts of one request at a time run. Each gives back the database connection that it took: whether
    the request then waits for a machine, its client leaves, or all is well.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="request")
        self._unfinished: set[Future[Any]] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(_done, work, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    @property
    def is_idle(self) -> bool:
        return not self._unfinished


def _done(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return work(*args, **kwargs)
    finally:
        reset_queries()  # kept where DEBUG is on
        close_old_connections()


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
                thread.shutdown(wait=False)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, unless the client leaves first. As Django's, which goes to the thread to send request_started and
        request_finished. Only clean-ups of its own listen to them, which `OneThread` has seen to: the first isn't
        sent, the second is on the event loop.
        """
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        request, refusal = self.create_request(scope, body)
        if request is None:
            body.close()
            await self.send_response(refusal, send)
            return
        answering = asyncio.create_task(self._answer(request, send))
        leaving = asyncio.create_task(_left(receive))
        response = None
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            answering.cancel()  # without effect where it is done
            try:
                with suppress(asyncio.CancelledError):
                    response = await answering
            finally:
                body.close()
            if response is not None and response.streaming:
                await sync_to_async(response.close)()  # a file, perhaps
            elif response is not None:
                response.close()

    async def _answer(self, request: HttpRequest, send: Any) -> HttpResponseBase:
        response = await self.run_get_response(request)
        with suppress(asyncio.CancelledError):  # it was answered, as far as the client took it
            await self.send_response(response, send)
        return response


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
