"""uvicorn's WebSockets with our changes, fed with bytes. What they do for a terminal is tested in terminals/."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from devpocket.websocket_protocol import MARK, UNANSWERED_MAX_BYTES, WebSocketProtocol

HANDSHAKE = (
    b"GET /?a=b HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer secret\r\n\r\n"
)
SHARED_MAX = 30  # attributes of an object whose dict is but values; CPython's SHARED_KEYS_MAX_SIZE


async def test_the_handshake_is_forgotten_once_it_is_accepted() -> None:
    seen: dict[bytes, bytes] = {}
    accepted, end = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.update(scope["headers"])
        await send({"type": "websocket.accept"})
        accepted.set()
        await end.wait()
        assert list(scope["headers"]) == []

    protocol = WebSocketProtocol(Config(application, interface="asgi3"), ServerState(), {})
    transport = Mock(is_closing=lambda: False, get_extra_info=lambda name: None)
    protocol.connection_made(transport)
    protocol.data_received(HANDSHAKE)
    (task,) = protocol.tasks
    async with asyncio.timeout(5):
        await accepted.wait()
        assert seen[b"authorization"] == b"Bearer secret"
        assert transport.write.call_args.args[0].startswith(b"HTTP/1.1 101 ")
        assert list(protocol.request.headers.raw_items()) == []
        assert len(vars(protocol)) <= SHARED_MAX
        end.set()
        await task
    protocol.connection_lost(None)


@pytest.mark.parametrize("more", [b"X-A: %s\r\n" % (b"a" * 9000), b"Content-Length: 5\r\n", b"X-B: b\r\n" * 200])
async def test_what_is_no_handshake_is_refused_and_read_no_further(more: bytes) -> None:
    protocol = WebSocketProtocol(Config(Mock(), interface="asgi3"), ServerState(), {})
    transport = Mock(is_closing=lambda: False, get_extra_info=lambda name: None)
    protocol.connection_made(transport)
    protocol.data_received(HANDSHAKE[:-2] + more + b"\r\n")
    assert transport.write.call_args.args[0].startswith(b"HTTP/1.1 4")
    transport.write_eof.assert_called_once()
    protocol.data_received(b"more")
    protocol.shutdown()
    transport.write.assert_called_once()
    protocol.connection_lost(None)


@pytest.mark.parametrize("answered", [b"kept", b"mark"])
async def test_one_answer_stands_for_all_that_was_asked_before(answered: bytes) -> None:
    """RFC 6455, 5.5.3: a client may answer the last ping only."""
    accepted, all_sent = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        accepted.set()
        for _ in range(UNANSWERED_MAX_BYTES // 1024 + 1):  # one more than may be under way
            await send({"type": "websocket.send", "bytes": b"x" * 1024})
        all_sent.set()

    protocol = WebSocketProtocol(Config(application, interface="asgi3"), ServerState(), {})
    transport = Mock(is_closing=lambda: False, get_extra_info=lambda name: None)
    protocol.connection_made(transport)
    protocol.data_received(HANDSHAKE)
    (task,) = protocol.tasks
    async with asyncio.timeout(5):
        await accepted.wait()
        if answered == b"mark":
            protocol.send_keepalive_ping()
        while not protocol._heard._waiters:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)
        if answered == b"kept":
            protocol.send_keepalive_ping()
            assert protocol.pending_ping_payload is not None
            protocol.handle_pong(Frame(Opcode.PONG, protocol.pending_ping_payload))
        else:
            protocol.handle_pong(Frame(Opcode.PONG, MARK + protocol._asked_bytes.to_bytes(8, "big")))
        await all_sent.wait()
        await task
    assert protocol.pending_ping_payload is None
    protocol.connection_lost(None)
