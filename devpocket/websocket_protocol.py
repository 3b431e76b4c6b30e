"""uvicorn's WebSockets, with what our sockets need of them beyond ASGI."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

UTF8 = "devpocket.utf8"  # in the scope's extensions: `websocket.send` takes a text frame as bytes too, as "utf8"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Takes text that is encoded already: turning JSON into str and back costs as much CPU as making it, and more."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            self.scope["extensions"][UTF8] = {}

    async def send(self, message: Any) -> None:
        data = message.get("utf8")
        if data is None:
            return await super().send(message)
        await self.writable.wait()
        if self.disconnected or self.close_sent:
            raise ClientDisconnected
        try:
            self.conn.send_text(data)
        except InvalidState as error:
            raise ClientDisconnected from error
        self.transport.write(b"".join(self.conn.data_to_send()))

    def keepalive_timeout(self) -> None:
        """Close one that doesn't answer as contract 9.6 says: to uvicorn that is an internal error."""
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(1001, "going away")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
