"""What the client of a terminal says: what it types, by keys or by text, and the size of its window (contract 9.2)."""

from __future__ import annotations

import asyncio
import time

from terminals import access, counters, frames
from terminals.access import Refused
from terminals.environment_socket import EnvironmentSocket
from terminals.numbered import NumberedInput
from terminals.protocol import BadFrame, Input, Key, Ping, Resize, parse_frame
from terminals.stream import Viewer

INPUT_LIMIT_S = 60  # a machine that takes no input for so long
NOT_READY = frames.error("terminal_not_ready", "The terminal is not ready yet.")


class TypingSocket(EnvironmentSocket):
    """Passes it on to the viewer's stream, where there is one; else says once that there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.viewer: Viewer | None = None
        self.size: tuple[int, int] | None = None  # the client's window, once it has told
        self.resizing: asyncio.TimerHandle | None = None
        self.numbered = NumberedInput(self)
        self.told_not_ready = self.told_view_only = False

    @property
    def is_view(self) -> bool:
        return self.handshake.is_view or self.access.is_view

    def take(self, raw: str | bytes) -> None:
        now = time.monotonic()
        if self.handshake.is_binary and isinstance(raw, bytes):
            return self._type(raw, 0, now)
        try:
            frame = parse_frame(raw)
        except BadFrame as bad:
            if not self.allowance.said(now):
                self.reply = frames.error(bad.code, bad.message)
            return
        if isinstance(frame, Input):
            self._type(frame.data, frame.seq, now)
        elif isinstance(frame, Key):
            self._press(frame, now)
        elif isinstance(frame, Resize):
            self._resize(frame, self.allowance.said(now))
        elif not self.allowance.said(now) and isinstance(frame, Ping):
            self.reply = frames.pong()

    def _press(self, key: Key, now: float) -> None:
        data = b"" if self.viewer is None else self.viewer.stream.key_bytes(key.name)
        if data is None:
            self.allowance.typed(0, now)
            self.reply = frames.error("invalid_message", "There is no such key.")
        else:
            self._type(data, key.seq, now)

    def _type(self, data: bytes, seq: int, now: float) -> None:
        self.allowance.typed(len(data), now)
        if self.allowance.verdict.wait_s:
            counters.input_delayed()
        if self.is_view:
            if not self.told_view_only:
                self.told_view_only = True
                self.reply = frames.error("view_only", "You can only look on here.")
        elif self.viewer is None or self.viewer.replaced:
            self.numbered.missed(seq)
            if not self.told_not_ready:
                self.told_not_ready = True
                self.reply = NOT_READY
        elif self.numbered.is_new(seq):
            self.note_activity()
            counters.input_bytes(len(data))
            self.viewer.stream.write(data)
            self.numbered.applied(self.viewer.stream, seq)

    def _resize(self, size: Resize, wait_s: float) -> None:
        """One that comes too soon is made up for: the shell must have the size that the client has in the end."""
        self.size = (size.cols, size.rows)
        if self.resizing is None:
            self.resizing = asyncio.get_running_loop().call_later(wait_s, self.resize_now) if wait_s else None
            if not wait_s:
                self.resize_now()

    def resize_now(self) -> None:
        if self.resizing is not None:
            self.resizing.cancel()
            self.resizing = None
        if self.viewer is not None and self.size is not None:
            self.viewer.stream.resize(*self.size)

    async def caught_up(self) -> None:
        """The machine takes what was typed; until then the client keeps the rest."""
        if self.viewer is None or self.viewer.stream.is_writable:
            return
        try:
            async with asyncio.timeout(INPUT_LIMIT_S):
                await self.viewer.stream.writable()
        except TimeoutError:
            await self.refuse(Refused(*access.RATE_LIMITED))
