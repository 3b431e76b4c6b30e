"""The life of a WebSocket, whatever it is for: its tasks, what it sends, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from devpocket.errors import INTERNAL_ERROR_TEXT
from devpocket.tasks import TaskOwner
from devpocket.websocket_protocol import UTF8
from terminals import frames

log = structlog.get_logger(__name__)

SEND_LIMIT_S = 120  # a client that takes no output for so long is gone, even if its TCP still answers
FINISH_LIMIT_S = 5  # what a client that reads slowly gets to hear why it is closed
NORMAL, POLICY_VIOLATION, INTERNAL_ERROR = 1000, 1008, 1011
GONE = (OSError, RuntimeError)  # what uvicorn raises where the client, or it itself (1009), has closed the socket

Message = dict[str, Any]


class LivingSocket(AsyncWebsocketConsumer):
    """`live` runs it, until `end` or the work's own end."""

    # Here and in ClientSocket: of an object with more than 30 attributes in its dict, Python makes that 1.5 KiB.
    __slots__ = ("_life", "_sending", "_sending_since", "_stall_timer", "_takes_utf8", "is_closing", "tasks")

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TaskOwner()
        self.is_closing = False
        self.bytes_out = 0  # of messages, unpacked
        self.close_code: int | None = None
        self.close_reason = ""  # ours; a client's is anybody's text
        self._sending = asyncio.Lock()
        self._sending_since: float | None = None  # the loop's time
        self._stall_timer: asyncio.TimerHandle | None = None
        self._life: asyncio.Timeout | None = None
        self._takes_utf8 = False

    async def live(self, work: Callable[..., Coroutine[None, None, None]], *args: Any) -> None:
        """Do it, until it ends or `end` is called."""
        self._takes_utf8 = UTF8 in self.scope.get("extensions", {})
        try:
            async with asyncio.timeout(None) as life:
                self._life = life
                self._look_for_stall()
                await self._guarded(work, *args)
        except TimeoutError:
            if not life.expired():
                raise
        finally:
            self._life = None
            self.is_closing = True
            if self._stall_timer is not None:
                self._stall_timer.cancel()

    def end(self) -> None:
        """End this consumer now, whatever its socket does. The server closes the socket then."""
        self.is_closing = True
        life, self._life = self._life, None
        if life is not None:
            life.reschedule(asyncio.get_running_loop().time())

    # --- Out

    async def tell(self, frame: str) -> None:
        """Send a frame; waits while the socket is full. To a client that is gone it is nothing."""
        await self._send({"type": "websocket.send", "text": frame}, len(frame))

    async def tell_all(self, texts: list[bytes]) -> None:
        """As tell(), several frames that are encoded already."""
        if self._takes_utf8:
            await self._send({"type": "websocket.send", "utf8": texts}, sum(map(len, texts)))
        else:
            for text in texts:
                await self.tell(text.decode())

    async def tell_bytes(self, data: bytes) -> None:
        """As tell(), in a binary frame."""
        await self._send({"type": "websocket.send", "bytes": data}, len(data))

    async def _send(self, message: Message, size: int) -> None:
        async with self._sending:
            if self.is_closing:
                return
            self._sending_since = asyncio.get_running_loop().time()
            try:
                await self.base_send(message)
                self.bytes_out += size
            except GONE:
                self.end()
            finally:
                self._sending_since = None

    def _look_for_stall(self) -> None:
        """The limit of a send. A timeout around each would be a tenth of what relaying a key's echo costs."""
        loop = asyncio.get_running_loop()
        begun = loop.time() if self._sending_since is None else self._sending_since
        if begun + SEND_LIMIT_S <= loop.time():
            self.end()
        else:
            self._stall_timer = loop.call_at(begun + SEND_LIMIT_S, self._look_for_stall)

    async def finish(self, code: int, reason: str, last: str | None) -> None:
        """Send a last frame, close, and end. Nothing is sent after it."""
        if self.is_closing:
            return
        self.is_closing = True
        try:
            async with asyncio.timeout(FINISH_LIMIT_S), self._sending:
                if last is not None:
                    await self.send(text_data=last)
                    self.bytes_out += len(last)
                self.close_code, self.close_reason = code, reason
                await self.close(code=code, reason=reason)
        except GONE:
            pass
        finally:
            self.end()

    def start(self, work: Callable[..., Coroutine[None, None, None]], *args: Any, name: str) -> asyncio.Task[None]:
        """A task of this socket's, which ends with it."""
        return self.tasks.start(self._guarded(work, *args), name=name)

    async def _guarded(self, work: Callable[..., Coroutine[None, None, None]], *args: Any) -> None:
        """A bug closes the socket; it never leaves it open with nobody behind it."""
        try:
            await work(*args)
        except Exception:
            log.exception("socket_failed")
            await self.finish(INTERNAL_ERROR, "internal error", frames.error("internal_error", INTERNAL_ERROR_TEXT))
