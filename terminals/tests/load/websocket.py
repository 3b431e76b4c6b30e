"""A WebSocket's client side: the rules of `websockets` on the loop's own callbacks, and no task woken for each text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.uri import parse_uri

OPEN_LIMIT_S = 10.0


class WebSocket(asyncio.Protocol):
    """One connection, made by `open`. `take` is called with each text; `closed` is set when the connection is gone."""

    def __init__(self, address: str, take: Callable[[bytes], None]) -> None:
        self._rules = ClientProtocol(parse_uri(address), max_size=None)
        self._take = take
        self._transport: asyncio.Transport
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()

    @classmethod
    async def open(cls, address: str, take: Callable[[bytes], None]) -> WebSocket:
        """Raises: OSError, TimeoutError, EOFError, websockets.InvalidHandshake, websockets.InvalidMessage."""
        uri = parse_uri(address)
        async with asyncio.timeout(OPEN_LIMIT_S):
            transport, connection = await asyncio.get_running_loop().create_connection(
                lambda: cls(address, take), uri.host, uri.port
            )
            try:
                await connection._opened
            except BaseException:
                transport.abort()
                raise
        return connection

    @property
    def ending(self) -> str:
        """How it ended: the close's code and reason; 1006 where there was none."""
        return f"{self._rules.close_code} {self._rules.close_reason}"

    def send(self, text: bytes) -> None:
        """Raises: websockets.InvalidState, once the connection is closing."""
        self._rules.send_text(text)
        self._write()

    def close(self) -> None:
        """Without waiting for the server's answer."""
        with suppress(InvalidState):
            self._rules.send_close(CloseCode.NORMAL_CLOSURE)
        self._write()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._rules.send_request(self._rules.connect())
        self._write()

    def data_received(self, data: bytes) -> None:
        self._rules.receive_data(data)
        for event in self._rules.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.TEXT:
                    assert event.fin, "the server sends a text in one frame"
                    self._take(cast(bytes, event.data))
            elif self._rules.handshake_exc is None:
                self._opened.set_result(None)
        self._write()

    def eof_received(self) -> None:
        self._rules.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rules.receive_eof()
        if not self._opened.done():
            self._opened.set_exception(self._rules.handshake_exc or EOFError("closed before it was open"))
        self.closed.set()

    def _write(self) -> None:
        for chunk in self._rules.data_to_send():
            if chunk:
                self._transport.write(chunk)
        if self._rules.close_expected():
            self._transport.close()
