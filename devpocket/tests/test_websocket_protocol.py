"""uvicorn's WebSockets with our changes, fed with bytes. What they do for a terminal is tested in terminals/."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

from uvicorn import Config
from uvicorn.server import ServerState

from devpocket.websocket_protocol import WebSocketProtocol

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
