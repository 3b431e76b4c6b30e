"""The threads in which the sync parts of requests run."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from accounts.services import SignIn
from devpocket import asgi_handler
from devpocket.asgi_handler import KeptThreadsHandler, OneThread

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


# --- Whoever leaves, and what streams


class Slow:
    """A view that waits, and tells how that ended."""

    def __init__(self) -> None:
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError


class Stream(StreamingHttpResponse):
    """`closed` in what order with the `pieces` that were taken."""

    def __init__(self, *, is_endless: bool) -> None:
        self.told: list[str] = []
        super().__init__(self._pieces(is_endless))

    async def _pieces(self, is_endless: bool) -> AsyncIterator[bytes]:
        self.told.append("piece")
        yield b"piece"
        if is_endless:
            await asyncio.Event().wait()

    def close(self) -> None:
        super().close()
        self.told.append("closed")


@pytest.fixture
def view(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], KeptThreadsHandler]:
    """Gives the handler that answers every request with this view. Middleware is left out."""

    def handler(answer: Any) -> KeptThreadsHandler:
        async def asynchronous(request: HttpRequest) -> Any:
            return await answer(request)

        urls = ModuleType("urls")
        urls.urlpatterns = [path("", asynchronous)]  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "urls_of_the_test", urls)
        settings.MIDDLEWARE, settings.ROOT_URLCONF = [], "urls_of_the_test"
        return KeptThreadsHandler()

    return handler


async def begun(handler: KeptThreadsHandler) -> ApplicationCommunicator:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"testserver")]}
    request = ApplicationCommunicator(handler, scope)  # type: ignore[no-untyped-call]
    await request.send_input({"type": "http.request"})
    return request


async def test_a_view_whose_client_leaves_is_ended(view: Callable[[Any], KeptThreadsHandler]) -> None:
    slow = Slow()
    request = await begun(view(slow))
    async with asyncio.timeout(LIMIT_S):
        await slow.began.wait()
        await request.send_input({"type": "http.disconnect"})
        await slow.ended.wait()
        await request.wait(LIMIT_S)
    assert request.output_queue.empty()  # it was answered nothing


class BusyThread(OneThread):
    """Does nothing until `may_begin`."""

    may_begin: threading.Event

    def submit(self, *work: Any, **options: Any) -> Any:
        super().submit(self.may_begin.wait, LIMIT_S)
        return super().submit(*work, **options)


@pytest.mark.parametrize("is_endless", [False, True])
async def test_a_stream_is_closed_once(
    view: Callable[[Any], KeptThreadsHandler], monkeypatch: pytest.MonkeyPatch, is_endless: bool
) -> None:
    """As a server does it: that its client has left it says after the last part, too."""
    monkeypatch.setattr(asgi_handler, "OneThread", BusyThread)
    monkeypatch.setattr(BusyThread, "may_begin", threading.Event(), raising=False)
    stream, has_left = Stream(is_endless=is_endless), asyncio.Event()
    loop, coming = asyncio.get_running_loop(), [{"type": "http.request"}]

    async def answer(request: HttpRequest) -> Stream:
        return stream

    async def receive() -> Any:
        if coming:
            return coming.pop()
        await has_left.wait()
        loop.call_later(0.05, BusyThread.may_begin.set)  # when all that follows from it has been done
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and (is_endless or not message.get("more_body")):
            has_left.set()

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"testserver")]}
    async with asyncio.timeout(LIMIT_S):
        await view(answer)(scope, receive, send)
    assert stream.told == ["piece", "closed"]


# --- What each part leaves, and how many there are


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ["answers", "fails", "is left"])
async def test_a_connection_is_given_back_whatever_becomes_of_the_request(ending: str) -> None:
    taken: list[tuple[BaseDatabaseWrapper, threading.Thread]] = []
    began, may_end = threading.Event(), threading.Event()

    def work() -> None:
        connection.ensure_connection()
        connection.close_at = 0  # as one of a pool, which is kept no longer than it is needed
        taken.append((connections["default"], threading.current_thread()))
        began.set()
        may_end.wait(LIMIT_S)
        if ending == "fails":
            raise ValueError

    asking = asyncio.create_task(thread_of(handler := Handler(work)))
    await asyncio.to_thread(began.wait, LIMIT_S)
    wrapper, thread = taken[0]
    assert wrapper.connection is not None
    if ending == "is left":
        asking.cancel()
    may_end.set()
    await asyncio.gather(asking, return_exceptions=True)
    if ending == "answers":
        await thread_of(handler)  # the same thread's: it does one thing after the other
        assert taken[1][1] is thread
    else:
        await asyncio.to_thread(thread.join, LIMIT_S)
    assert wrapper.connection is None


class CountedThread(OneThread):
    trips = 0

    def submit(self, *work: Any, **options: Any) -> Any:
        CountedThread.trips += 1
        return super().submit(*work, **options)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/environments/"])
async def test_a_request_goes_to_its_thread_once(ann: SignIn, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_handler, "OneThread", CountedThread)
    monkeypatch.setattr(CountedThread, "trips", 0)
    headers = [(b"authorization", f"Bearer {ann.tokens.access}".encode()), (b"host", b"testserver")]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    request = ApplicationCommunicator(KeptThreadsHandler(), scope)  # type: ignore[no-untyped-call]
    await request.send_input({"type": "http.request"})
    assert (await request.receive_output(LIMIT_S))["status"] == 200
    await request.receive_output(LIMIT_S)
    await request.wait(LIMIT_S)
    assert CountedThread.trips == 1
