"""The threads in which the sync parts of requests run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator

from devpocket.asgi_handler import KeptThreadsHandler

LIMIT_S = 10


class Handler(KeptThreadsHandler):
    """Runs `work` where a view of Django's would run."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "did", "result": await sync_to_async(self._work)()})


@asynccontextmanager
async def asked(handler: Handler) -> AsyncIterator[ApplicationCommunicator]:
    request = ApplicationCommunicator(handler, {"type": "http"})  # type: ignore[no-untyped-call]
    await request.send_input({"type": "http.request"})
    yield request
    await request.wait(LIMIT_S)


async def thread_of(handler: Handler) -> Any:
    async with asyncio.timeout(LIMIT_S), asked(handler) as request:
        return (await request.receive_output(LIMIT_S))["result"]


async def test_one_request_after_the_other_has_the_same_thread_and_two_at_once_have_two() -> None:
    both = threading.Barrier(2)
    handler = Handler(threading.get_ident)
    assert await thread_of(handler) == await thread_of(handler)

    def meet() -> int:
        both.wait(LIMIT_S)
        return threading.get_ident()

    meeting = Handler(meet)
    assert len(set(await asyncio.gather(thread_of(meeting), thread_of(meeting)))) == 2


async def test_what_a_client_left_behind_holds_up_no_other_request() -> None:
    began, may_end = threading.Event(), threading.Event()

    def work() -> int:
        if not began.is_set():
            began.set()
            may_end.wait(LIMIT_S)
        return threading.get_ident()

    handler = Handler(work)
    left = asyncio.create_task(thread_of(handler))
    try:
        await asyncio.to_thread(began.wait, LIMIT_S)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert await thread_of(handler)
    finally:
        may_end.set()
