"""What a client may keep of the server: raw sockets against the server's own protocol, before a small application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from devpocket import http_protocol
from devpocket.http_protocol import HttpProtocol
from devpocket.security_headers import security_headers
from devpocket.tests import wire

LIMIT_S = 20
App = Callable[[Any, Any, Any], Awaitable[None]]


class Application:
    """Reads the whole body and echoes its length; `/endless` answers without end. `calls`: paths that it saw."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.endings: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope["path"])
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return self.endings.put_nowait("disconnected")
            length, more = length + len(message["body"]), message["more_body"]
        if scope["path"] == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await self._still(receive)) and not await send(
                {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}
            ):
                pass
            return self.endings.put_nowait("cut off")
        body = str(length).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    @staticmethod
    async def _still(receive: Any) -> bool:
        asking = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        if asking.done():
            return False
        asking.cancel()
        return True


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=HttpProtocol, ws="none", lifespan="off", log_config=None, server_header=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def ask(port: int, *parts: bytes) -> bytes:
    """Send the parts and read until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(LIMIT_S):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()


def refusal(answer: bytes) -> tuple[int, dict[str, Any]]:
    """The status and body of the one answer, its headers checked."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    decoded = json.loads(body)
    wire.check(decoded, wire.ERROR)
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    assert headers["X-Request-ID"] == decoded["request_id"]
    assert security_headers(decoded["path"]).items() <= headers.items()
    assert "Server" not in headers
    return int(status_line.split()[1]), decoded


POST = b"POST /api/v1/x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture
def impatient(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "LOOK_EVERY_S", 0.02)
    settings.REQUEST_HEAD_SECONDS = settings.REQUEST_BODY_SECONDS = settings.RESPONSE_STALL_SECONDS = 0.1


@pytest.mark.parametrize("declared", [b"%d" % (MIB + 1), b"9" * 18, b"9" * 19])
async def test_a_body_that_is_declared_too_large_is_not_read(declared: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        status, body = refusal(await ask(port, POST + b"Content-Length: " + declared + b"\r\n\r\n"))
    assert (status, body["code"], body["path"], app.calls) in [
        (413, "invalid_input", "/api/v1/x", []),
        (400, "invalid_input", "/api/v1/x", []),  # a number that the parser itself refuses
    ]


@pytest.mark.parametrize("told", [b"Content-Length: 21\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_no_body_is_taken_for_a_request(told: bytes) -> None:
    """A proxy may send it apart from its head, and then somebody else's request behind it."""
    app = Application()
    head = POST + b"Upgrade: other\r\nConnection: upgrade\r\n" + told + b"\r\n"
    async with serving(app) as port:
        status, body = refusal(await ask(port, head, b"GET /body HTTP/1.1\r\n\r\n"))
    assert (status, body["code"], app.calls) == (400, "invalid_input", [])


async def test_a_body_in_chunks_is_counted() -> None:
    app = Application()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with serving(app) as port:
        fits = await ask(port, CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), chunk * 16, b"0\r\n\r\n")
        assert fits.endswith(b"\r\n\r\n%d" % MIB)
        status, body = refusal(await ask(port, CHUNKED, *[chunk] * 17))
        async with asyncio.timeout(LIMIT_S):
            assert await app.endings.get() == "disconnected"
    assert (status, body["path"]) == (413, "/api/v1/x")


async def test_a_body_in_tiny_chunks_is_no_way_around() -> None:
    app = Application()
    extended = b"1;" + b"e" * 65000 + b"\r\nx\r\n"
    async with serving(app) as port:
        status, _ = refusal(await ask(port, CHUNKED, *[extended] * 140))
    assert status == 413


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(4000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Endless: " + b"a" * 300_000,
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
    ],
    ids=["address", "header", "headers", "endless", "websocket"],
)
async def test_a_head_has_a_limit(head: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        status, _ = refusal(await ask(port, head))
    assert (status, app.calls) == (431, [])


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    ],
    ids=["garbage", "two framings", "two lengths"],
)
async def test_what_can_be_read_in_two_ways_is_refused(request_: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        status, _ = refusal(await ask(port, request_))
    assert status == 400


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["line", "headers"])
async def test_a_head_that_does_not_come_to_its_end_is_cut_off(sent: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        status, _ = refusal(await ask(port, sent))
    assert (status, app.calls) == (408, [])


@pytest.mark.usefixtures("impatient")
async def test_a_connection_without_a_request_is_closed() -> None:
    async with serving(Application()) as port:
        assert await ask(port) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "sent", [CHUNKED + b"1\r\nx\r\n", POST + b"Content-Length: 5\r\n\r\nx"], ids=["chunks", "length"]
)
async def test_a_body_that_does_not_come_to_its_end_is_cut_off(sent: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        status, body = refusal(await ask(port, sent))
        async with asyncio.timeout(LIMIT_S):
            assert await app.endings.get() == "disconnected"
    assert (status, body["path"]) == (408, "/api/v1/x")


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_takes_no_answer_is_cut_off() -> None:
    app = Application()
    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.transport.pause_reading()
        writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            assert await app.endings.get() == "cut off"
        writer.transport.abort()


async def test_one_connection_takes_many_requests_one_after_another() -> None:
    app = Application()
    async with serving(app) as port:
        sent = POST + b"Content-Length: 3\r\n\r\nabc"
        last = POST + b"Connection: close\r\nContent-Length: 4\r\n\r\nabcd"
        answer = await ask(port, sent * 3, sent, last)
    assert [part.rpartition(b"\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [b"3"] * 4 + [b"4"]
