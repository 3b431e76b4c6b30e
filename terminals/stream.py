"""A stream: a PTY on a machine, its last bytes, and the one viewer that reads it. The hub keeps them.

Path of a byte: PTY, SSH channel, replay buffer, viewer. A viewer that reads slowly stops the channel, and so the PTY;
nothing is kept for it but the buffer.
"""

from __future__ import annotations

import asyncio
import codecs
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import asyncssh

from devpocket.flags import Flag
from environments.ssh import TERMINAL_WINDOW_BYTES, Lease
from terminals.keys import key_bytes
from terminals.modes import APPLICATION_CURSOR, ModeTracker
from terminals.replay import ReplayBuffer
from terminals.replayed import CANCEL, first_whole, queries

REPLAY_BYTES = 1024 * 1024
RESTART_BELOW_BYTES = 4096  # what a viewer is behind when a channel that was stopped goes on
UNSENT_MAX_BYTES = TERMINAL_WINDOW_BYTES + RESTART_BELOW_BYTES  # and when it is stopped
# Away, it may fall behind further; the rest of the buffer holds what was sent last, which may never have arrived.
UNSENT_AWAY_MAX_BYTES = REPLAY_BYTES - 256 * 1024
TEXT_MAX_BYTES = 16 * 1024  # in a frame (contract 9.3)
TEXTS_AT_ONCE = 4  # frames that are handed on together: what it takes to send one is mostly not its bytes
BINARY_MAX_BYTES = 64 * 1024
FIRST_SIZE = (80, 24)
RESIZE_EVERY_S = 0.05  # SSH has no flow control for resizes, so a flood of them is reduced to its last one


class Recorder(Protocol):
    """Who writes down a stream. No call waits."""

    id: UUID

    def output(self, data: bytes) -> None: ...

    def resized(self, cols: int, rows: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream leads: tmux's session on the environment's machine, or a plain shell of its own (None)."""

    environment_id: UUID
    session: str | None
    is_view: bool = False  # nothing is typed in it


class Stream(asyncssh.SSHClientSession[bytes]):
    """One PTY. At most one viewer at a time reads it; a second one takes its place."""

    def __init__(self, place: Place, size: tuple[int, int], on_end: Callable[[Stream], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.place = place
        self.viewer: Viewer | None = None
        self.sent_offset = 0  # how far the viewer has read, or had when it left
        self.input_seq = 0  # the client's number for the last input that was applied
        self.recorder: Recorder | None = None
        self.exit_status: int | None = None
        self.ended = Flag()
        self.lingering: asyncio.TimerHandle | None = None
        self.lease: Lease | None = None  # holds the shared SSH connection open
        # tmux draws everything anew for whoever has lost a part of it, so only a plain shell has to be followed.
        self._modes = ModeTracker() if place.session is None else None
        self._forgotten = (b"", b"")  # what was forgotten last: a sequence may be cut there
        self.replay = ReplayBuffer(REPLAY_BYTES, None if self._modes is None else self._forget)
        self._on_end = on_end
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._is_paused = False
        self._writable = Flag()
        self._writable.set()
        self._size = self._size_wanted = size
        self._resizing: asyncio.TimerHandle | None = None

    @property
    def shell_exited(self) -> bool:
        """Ended by itself, not by a lost connection."""
        return self.exit_status is not None

    # --- Called by asyncssh

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.replay.append(data)
        self._pace()
        if self.viewer is not None:
            self.viewer.notice()
        if self.recorder is not None:
            self.recorder.output(data)

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.exit_status = -1

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self._writable.set()
        if self.viewer is not None:
            self.viewer.notice()
        self._on_end(self)

    # --- Output

    def record(self, recorder: Recorder) -> None:
        """From its beginning, or what is left of that."""
        recorder.output(self.replay.since(self.replay.start)[1])
        self.recorder = recorder
        if self.ended.is_set():
            recorder.close()

    def _forget(self, data: bytes) -> None:
        assert self._modes is not None  # noqa: S101 -- only asked for with it
        self._modes.feed(data)
        self._forgotten = (self._forgotten[1], data)

    def _modes_now(self) -> ModeTracker | None:
        if self._modes is None:
            return None
        modes = self._modes.copy()
        modes.feed(self.replay.since(self.replay.start)[1])
        return modes

    def after_gap(self) -> tuple[int, bytes]:
        """Where the oldest bytes begin that make sense by themselves, and what to say to a terminal before them."""
        assert self._modes is not None  # noqa: S101 -- who has tmux gets a new stream instead
        start, data = self.replay.since(self.replay.start, REPLAY_BYTES)
        skip = first_whole(b"".join(self._forgotten), data)
        modes = self._modes.copy()
        modes.feed(data[:skip])
        return start + skip, CANCEL + modes.restore()

    def _pace(self) -> None:
        """Stop or restart the channel by how far its reader is behind.

        asyncssh lets the machine send another window with the first piece that it hands on, whatever it still holds:
        restarted for a piece at a time it would gather megabytes. So it goes on when there is room for all it holds.
        """
        room = UNSENT_MAX_BYTES if self.viewer is not None else UNSENT_AWAY_MAX_BYTES
        room -= TERMINAL_WINDOW_BYTES if self._is_paused else 0
        should_pause = self.replay.end - self.sent_offset >= room
        if self._channel is not None and should_pause != self._is_paused:
            self._is_paused = should_pause
            if should_pause:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    def sent(self, offset: int) -> None:
        self.sent_offset = offset
        self._pace()

    # --- Input

    def write(self, data: bytes) -> None:
        """Type. Never waits: `writable` does, which is how a client is slowed down."""
        self._resize_now()  # what is typed after a resize finds the new size
        if self._channel is not None:
            with suppress(OSError):  # closed by the machine: told once its last bytes are through
                self._channel.write(data)

    def key_bytes(self, name: str) -> bytes | None:
        """What the key sends here and now; None for a key there is not. tmux takes either form of the cursor keys."""
        modes = self._modes_now()
        return key_bytes(name, application_cursor=modes is not None and modes.is_on(APPLICATION_CURSOR))

    @property
    def is_writable(self) -> bool:
        return self._writable.is_set()

    async def writable(self) -> None:
        """Wait until the machine has taken most of what was typed, or is gone."""
        await self._writable.wait()

    def resize(self, cols: int, rows: int) -> None:
        self._size_wanted = (cols, rows)
        if self._resizing is None:
            self._resize_now()
            self._resizing = asyncio.get_running_loop().call_later(RESIZE_EVERY_S, self._resize_later)

    def redraw(self) -> None:
        """Make a full-screen program draw itself anew: they do for a size that changes."""
        cols, rows = self._size
        if self._channel is not None and not self.ended.is_set():
            self._channel.change_terminal_size(cols, rows - 1 if rows > 1 else 2)
            self._channel.change_terminal_size(cols, rows)

    def _resize_later(self) -> None:
        self._resizing = None
        self._resize_now()

    def _resize_now(self) -> None:
        if self._channel is not None and self._size != self._size_wanted and not self.ended.is_set():
            self._size = self._size_wanted
            self._channel.change_terminal_size(*self._size)
            if self.recorder is not None:
                self.recorder.resized(*self._size)

    def close(self) -> None:
        """Hang up. The tmux session lives on."""
        for timer in (self.lingering, self._resizing):
            if timer is not None:
                timer.cancel()
        if self._channel is not None and not self.ended.is_set():
            self._channel.abort()  # close() would first wait for a machine that reads nothing
        if self.recorder is not None:
            self.recorder.close()
        if self.lease is not None:
            self.lease.release()


class Viewer:
    """A client's place in a stream.

    `missed`: bytes before `offset` that were forgotten before the client could have them; `lead`: what its terminal
    has to be told before it goes on there.
    """

    __slots__ = ("_left_out", "_news", "lead", "missed", "offset", "on_replaced", "replaced", "stream")

    def __init__(self, stream: Stream, offset: int, *, is_replay: bool) -> None:
        self.stream = stream
        self.offset = offset
        self.missed = 0
        self.lead = b""
        self.replaced = False
        self.on_replaced: Callable[[], None] | None = None
        self._news = Flag()
        if offset < stream.replay.start:
            first, self.lead = stream.after_gap()
            self.missed, self.offset = first - offset, first
        # Terminals are not asked again what programs have asked them before. Where such questions are, the last first.
        first, data = stream.replay.since(self.offset) if is_replay else (0, b"")
        self._left_out = [(first + begin, first + end) for begin, end in queries(data)][::-1]

    def notice(self) -> None:
        self._news.set()

    def replace(self) -> None:
        """Another socket has the stream from now on."""
        self.replaced = True
        self.notice()
        if self.on_replaced is not None:
            self.on_replaced()

    def _next(self, most: int) -> tuple[int, bytes]:
        """Bytes that are here and may be sent, and the offset of their first one."""
        while self._left_out and self._left_out[-1][0] <= self.offset:
            self.offset = max(self.offset, self._left_out.pop()[1])
        if self._left_out:
            most = min(most, self._left_out[-1][0] - self.offset)
        return self.stream.replay.since(self.offset, most)

    async def follow_text(self) -> AsyncGenerator[list[tuple[str, int]], None]:
        """Text as it comes, whole characters, in pieces for a frame each, with the offset of their end; several where
        they are there. Ends with the stream, or when replaced.

        Invalid bytes become U+FFFD. A character of which only a part has come waits for the rest.
        """
        while not self.replaced:
            self._news.clear()  # before looking, so that no wake-up is missed
            has_ended = self.stream.ended.is_set()
            pieces: list[tuple[str, int]] = []
            while len(pieces) < TEXTS_AT_ONCE and (text := self._next_text(has_ended)):
                pieces.append((text, self.offset))
            if pieces:
                yield pieces
                self.stream.sent(self.offset)
            elif has_ended:
                return
            else:
                await self._news.wait()

    def _next_text(self, has_ended: bool) -> str:
        """The next piece, up to `offset`; empty where there is none yet."""
        first, data = self._next(TEXT_MAX_BYTES)
        end = first + len(data)
        is_last = bool(self._left_out) and end == self._left_out[-1][0]  # a question is a whole sequence
        text, used = _decode(data, final=is_last or (has_ended and end == self.stream.replay.end))
        if used:
            self.offset = first + used
        return text

    async def follow_bytes(self) -> AsyncGenerator[bytes, None]:
        """As follow_text(), the bytes as they are; `offset` is their end. Empty: it has moved over some left out."""
        while not self.replaced:
            self._news.clear()
            has_ended = self.stream.ended.is_set()
            before = self.offset
            first, data = self._next(BINARY_MAX_BYTES)
            if self.offset != before:
                yield b""
            if data:
                self.offset = first + len(data)
                yield data
                self.stream.sent(self.offset)
            elif has_ended:
                return
            else:
                await self._news.wait()


def _decode(data: bytes, *, final: bool) -> tuple[str, int]:
    """Text of TEXT_MAX_BYTES in UTF-8 at most, and how many bytes it was made of: the rest isn't complete yet."""
    text, used = codecs.utf_8_decode(data, "replace", final)
    if "\ufffd" in text and len(text.encode()) > TEXT_MAX_BYTES:  # each invalid byte has become three
        return codecs.utf_8_decode(data[: TEXT_MAX_BYTES // 3], "replace", False)
    return text, used
