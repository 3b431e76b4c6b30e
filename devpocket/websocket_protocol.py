"""uvicorn's WebSockets, with what our sockets need of them beyond ASGI."""

from __future__ import annotations

import random
from typing import Any

from django.conf import settings
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request

from devpocket.flags import Flag, Inbox

PIECE_BYTES = 2048  # what is looked at before the application has taken the messages that were in it
CLOSE_LIMIT_S = 10  # for the last bytes to a client that takes none; the kernel would keep them as long as it answers
LET_GO_LIMIT_S = 3  # for the application to end before its client is told that the server restarts
UNANSWERED_MAX_BYTES = 96 * 1024  # of messages, unpacked, that may be on their way to a client
ASK_EVERY_BYTES = 48 * 1024
MARK = b"o"  # begins a ping that asks how far the client has come; uvicorn's own have 4 bytes
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
UTF8 = "devpocket.utf8"  # in the scope's extensions: `websocket.send` takes text frames as bytes too, a list as "utf8"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Takes text that is encoded already: turning JSON into str and back costs as much CPU as making it, and more.

    Sends no more than a client keeps up with: pings ask it, behind what was sent, and their answers tell. The kernels'
    buffers are no measure: they hold megabytes, packed a hundred times as much, and after Ctrl-C all of it would come.

    Reads in pieces: uvicorn makes messages of all that a read has brought, and compressed a read holds 150 MiB of them.
    """

    # Ours, and uvicorn's that are used here: of an object with more than 30 in its dict, Python makes that 1.5 KiB.
    __slots__ = (
        *("_answered_bytes", "_asked_bytes", "_heard", "_kept_alive_bytes", "_sent_bytes", "_unread"),
        *("close_sent", "conn", "curr_msg_data_type", "disconnected", "frames", "loop", "queue", "read_paused"),
        *("request", "response", "scope", "transport", "writable"),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread = bytearray()
        # Bytes of messages: that were sent, up to where the last ping asked, up to where a pong has answered.
        self._sent_bytes = self._asked_bytes = self._answered_bytes = 0
        self._kept_alive_bytes = 0  # up to where the last of uvicorn's own pings came
        self._heard = Flag()
        # Lighter than uvicorn's own. What the queue gets more than one message of is what a single read has brought.
        self.queue, self.writable = Inbox(), Flag()  # type: ignore[assignment]
        self.writable.set()
        self.app, self._is_restarting = self._until_said, False

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            if len(data) > PIECE_BYTES or self._unread or self.read_paused:
                self._unread += data
                self._read_on()
            else:  # what a key pressed is
                super().data_received(data)
        elif not self.close_sent:
            super().data_received(data)  # the whole head, as uvicorn has put it together
            if not self.handshake_initiated:
                self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """What `websockets` takes for no handshake, such as a header of 9 KiB: uvicorn would leave it open for ever."""
        self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(CLOSE_LIMIT_S, self.transport.abort)

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
        if self._unread:
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
        self._go_on()  # if nothing is read now, no answers are either: they aren't waited for

    def handle_pong(self, event: Frame) -> None:
        """A client that was asked twice may answer the last one only: either answer stands for both."""
        data = bytes(event.data)
        if len(data) == 9 and data.startswith(MARK):
            come = min(self._sent_bytes, int.from_bytes(data[1:], "big"))
            if self.pending_ping_payload is not None:
                super().handle_pong(Frame(Opcode.PONG, self.pending_ping_payload))
        else:
            come = self._kept_alive_bytes if data == self.pending_ping_payload else 0
            super().handle_pong(event)
        self._answered_bytes = max(self._answered_bytes, come)
        self._go_on()

    def send_keepalive_ping(self) -> None:
        self._kept_alive_bytes = self._sent_bytes
        super().send_keepalive_ping()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._go_on()

    async def _room_for(self, size: int) -> None:
        while (
            self._sent_bytes > self._answered_bytes
            and self._sent_bytes - self._answered_bytes + size > UNANSWERED_MAX_BYTES
            and not (self.read_paused or self.disconnected or self.close_sent)
        ):
            if self._asked_bytes < self._sent_bytes:  # else nobody might ever answer
                self._ask()
                self.transport.write(b"".join(self.conn.data_to_send()))
            self._heard.clear()
            await self._heard.wait()

    def _go_on(self) -> None:
        self._heard.set()

    def _ask(self) -> None:
        self._asked_bytes = self._sent_bytes
        self.conn.send_ping(MARK + self._sent_bytes.to_bytes(8, "big"))

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            self.scope["extensions"][UTF8] = {}

    def _forget_handshake(self) -> None:
        """What the application has read by now: 3 KiB, and a token, that would be kept for as long as it is open."""
        self.scope["headers"].clear()  # type: ignore[attr-defined]  # a list, of the application's scope too
        self.request.headers.clear()  # websockets keeps the request itself
        del self.response

    async def send(self, message: Any) -> None:
        texts, data = message.get("utf8"), message.get("bytes")
        if texts is None and data is None:
            await super().send(message)
            if message["type"] == "websocket.accept" and self.handshake_complete:
                self._forget_handshake()
            elif message["type"] == "websocket.close":
                self._read_on()  # the client's own close may be here already
            return
        size = sum(map(len, texts)) if data is None else len(data)
        await self.writable.wait()
        try:
            await self._room_for(size)
            if self.disconnected or self.close_sent:
                raise ClientDisconnected
            if data is not None:
                self.conn.send_binary(data)
            else:
                for text in texts:
                    self.conn.send_text(text)
            self._sent_bytes += size
            if self._sent_bytes - self._asked_bytes >= ASK_EVERY_BYTES:
                self._ask()
        except InvalidState as error:
            raise ClientDisconnected from error
        self.transport.write(b"".join(self.conn.data_to_send()))

    def handle_parser_exception(self) -> None:
        """Say why, and read on for a while: closed with bytes unread, a kernel resets, and takes back what was said."""
        if self.close_sent or self.conn.close_sent is None:  # it is set by what has read the frames
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self._go_on()
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(CLOSE_LIMIT_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Close one that doesn't answer as contract 9.6 says: to uvicorn that is an internal error."""
        self.stop_keepalive()
        self._give_up(CloseCode.GOING_AWAY, "going away")

    def _give_up(self, code: CloseCode, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self._go_on()
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def shutdown(self) -> None:
        """The server stops: close within a while, by chance, so that not everybody comes back in one moment."""
        self.loop.call_later(random.uniform(0, settings.SHUTDOWN_SPREAD_SECONDS), self._restart)  # noqa: S311

    def _restart(self) -> None:
        """The application lets go of all that it holds first: its client comes back in a moment, to another process."""
        if not self.handshake_complete:
            return super().shutdown()
        self.stop_keepalive()
        self._is_restarting = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.SERVICE_RESTART})
        self._go_on()
        self.loop.call_later(LET_GO_LIMIT_S, self._say_restart)

    async def _until_said(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.config.loaded_app(scope, receive, send)
        finally:
            if self._is_restarting:
                self._say_restart()

    def _say_restart(self) -> None:
        """With a handshake of the closing, not as uvicorn does it, by closing the connection behind the frame: what the
        client is sending just then would have the kernel reset it, and the client not learn why.
        """
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return  # a close is under way, and has its own limit
        self.conn.send_close(CloseCode.SERVICE_RESTART, "service restart")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_LIMIT_S, self.transport.close)
        self._read_on()  # its close may be here already

    def on_task_complete(self, task: Any) -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_LIMIT_S, self.transport.abort)
