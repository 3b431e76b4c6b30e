"""uvicorn's WebSockets, with what our sockets need of them beyond ASGI."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode
from websockets.http11 import Request

PIECE_BYTES = 2048  # what is looked at before the application has taken the messages that were in it
CLOSE_LIMIT_S = 10  # for the last bytes to a client that takes none; the kernel would keep them as long as it answers
UTF8 = "devpocket.utf8"  # in the scope's extensions: `websocket.send` takes text frames as bytes too, a list as "utf8"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Takes text that is encoded already: turning JSON into str and back costs as much CPU as making it, and more.

    Reads in pieces: uvicorn makes messages of all that a read has brought, and compressed a read holds 150 MiB of them.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread = bytearray()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._read_on()

    def _read_on(self) -> None:
        """Until there is a message: then uvicorn has stopped reading, and goes on when that was taken."""
        while self._unread and not self.read_paused:
            if self.transport.is_closing():
                return self._unread.clear()
            piece = bytes(self._unread[:PIECE_BYTES])
            del self._unread[:PIECE_BYTES]
            super().data_received(piece)

    async def receive(self) -> Any:
        message = await super().receive()
        self._read_on()
        return message

    def send_receive_event_to_app(self) -> None:
        """Close for text that is no UTF-8; uvicorn would log tracebacks."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                return self._give_up(CloseCode.INVALID_DATA, "no UTF-8")
        super().send_receive_event_to_app()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            self.scope["extensions"][UTF8] = {}

    async def send(self, message: Any) -> None:
        texts = message.get("utf8")
        if texts is None:
            return await super().send(message)
        await self.writable.wait()
        if self.disconnected or self.close_sent:
            raise ClientDisconnected
        try:
            for text in texts:
                self.conn.send_text(text)
        except InvalidState as error:
            raise ClientDisconnected from error
        self.transport.write(b"".join(self.conn.data_to_send()))

    def keepalive_timeout(self) -> None:
        """Close one that doesn't answer as contract 9.6 says: to uvicorn that is an internal error."""
        self.stop_keepalive()
        self._give_up(CloseCode.GOING_AWAY, "going away")

    def _give_up(self, code: CloseCode, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def on_task_complete(self, task: Any) -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_LIMIT_S, self.transport.abort)
