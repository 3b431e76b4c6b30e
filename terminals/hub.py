"""The terminals of this process. A stream is a PTY on a machine with a tmux client in it; WebSockets come and go.

A stream outlives its viewer for `resume_s`: one that returns and says how many bytes it has goes on with the next
byte. Several devices on one environment are several streams: tmux shows them the same screen, each at its own pace.

Path of a byte: PTY, SSH channel, replay buffer, viewer. A viewer that reads slowly stops the channel, and so the PTY;
nothing is kept for it but the buffer.
"""

from __future__ import annotations

import asyncio
import codecs
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from uuid import UUID

import asyncssh
import structlog

from environments.ssh import Lease, SSHPool, Target
from terminals.protocol import ResumePoint
from terminals.replay import ReplayBuffer

log = structlog.get_logger(__name__)

REPLAY_BYTES = 1024 * 1024
UNSENT_MAX_BYTES = 256 * 1024  # what a viewer may be behind before the channel is stopped
# Away, it may fall behind further; the rest of the buffer holds what was sent last, which may never have arrived.
UNSENT_AWAY_MAX_BYTES = REPLAY_BYTES - UNSENT_MAX_BYTES
FRAME_MAX_BYTES = 16 * 1024  # contract 9.3
FIRST_SIZE = (80, 24)
RESIZE_EVERY_S = 0.05  # SSH has no flow control for resizes, so a flood of them is reduced to its last one
LINGERING_MAX = 4  # streams without a viewer kept for an environment
LINGERING_TOTAL_MAX = 256  # and for all of them together: 256 MiB at the very most


class Stream(asyncssh.SSHClientSession[bytes]):
    """One PTY. At most one viewer at a time reads it; a second one takes its place."""

    def __init__(
        self, environment_id: UUID, session: str, size: tuple[int, int], on_end: Callable[[Stream], None]
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.environment_id, self.session = environment_id, session
        self.replay = ReplayBuffer(REPLAY_BYTES)
        self.viewer: Viewer | None = None
        self.sent_offset = 0  # how far the viewer has read, or had when it left
        self.exit_status: int | None = None
        self.ended = asyncio.Event()
        self.lingering: asyncio.TimerHandle | None = None
        self.lease: Lease | None = None  # holds the shared SSH connection open
        self._on_end = on_end
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._is_paused = False
        self._writable = asyncio.Event()
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

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

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

    # --- Called by the viewer

    def _pace(self) -> None:
        """Stop or restart the channel by how far its reader is behind."""
        room = UNSENT_MAX_BYTES if self.viewer is not None else UNSENT_AWAY_MAX_BYTES
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

    def write(self, data: bytes) -> None:
        """Type. Never waits: `writable` does, which is how a client is slowed down."""
        self._resize_now()  # what is typed after a resize finds the new size
        if self._channel is not None:
            with suppress(OSError):  # closed by the machine: told once its last bytes are through
                self._channel.write(data)

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

    def _resize_later(self) -> None:
        self._resizing = None
        self._resize_now()

    def _resize_now(self) -> None:
        if self._channel is not None and self._size != self._size_wanted and not self.ended.is_set():
            self._size = self._size_wanted
            self._channel.change_terminal_size(*self._size)

    def close(self) -> None:
        """Hang up. The tmux session lives on."""
        for timer in (self.lingering, self._resizing):
            if timer is not None:
                timer.cancel()
        if self._channel is not None and not self.ended.is_set():
            self._channel.abort()  # close() would first wait for a machine that reads nothing
        if self.lease is not None:
            self.lease.release()


class Viewer:
    """A client's place in a stream."""

    def __init__(self, stream: Stream, offset: int) -> None:
        self.stream = stream
        self.offset = offset
        self.replaced = False
        self._news = asyncio.Event()

    def notice(self) -> None:
        self._news.set()

    async def follow(self) -> AsyncGenerator[tuple[str, int], None]:
        """Text as it comes, whole characters, with the offset of its end; ends with the stream, or when replaced.

        Invalid bytes become U+FFFD. A character of which only a part has come waits for the rest.
        """
        replay = self.stream.replay
        while not self.replaced:
            self._news.clear()  # before looking, so that no wake-up is missed
            has_ended = self.stream.ended.is_set()
            first, data = replay.since(self.offset, FRAME_MAX_BYTES)
            text, used = _decode(data, final=has_ended and first + len(data) == replay.end)
            if used:
                self.offset = first + used
                yield text, self.offset
                self.stream.sent(self.offset)
            elif has_ended:
                return
            else:
                await self._news.wait()


def _decode(data: bytes, *, final: bool) -> tuple[str, int]:
    """Text of FRAME_MAX_BYTES in UTF-8 at most, and how many bytes it was made of: the rest isn't complete yet."""
    text, used = codecs.utf_8_decode(data, "replace", final)
    if "\ufffd" in text and len(text.encode()) > FRAME_MAX_BYTES:  # each invalid byte has become three
        return codecs.utf_8_decode(data[: FRAME_MAX_BYTES // 3], "replace", False)
    return text, used


class Hub:
    """All streams of this process."""

    def __init__(self, pool: SSHPool, *, resume_s: float) -> None:
        self._pool, self._resume_s = pool, resume_s
        self._streams: dict[str, Stream] = {}
        self._away: dict[str, Stream] = {}  # those without a viewer; whose left longest ago comes first

    def resume(self, environment_id: UUID, session: str, point: ResumePoint) -> Viewer | None:
        """Go on reading a stream where the client left off; None where stream or bytes are gone."""
        stream = self._streams.get(point.stream)
        if (
            stream is None
            or stream.ended.is_set()
            or (stream.environment_id, stream.session) != (environment_id, session)
            or not stream.replay.start <= point.offset <= stream.replay.end
        ):
            return None
        return self._view(stream, point.offset)

    async def open(
        self, environment_id: UUID, session: str, *, target: Target, command: str, size: tuple[int, int] = FIRST_SIZE
    ) -> Viewer:
        """A new PTY on the machine, `size` its columns and rows. Raises: SSHUnavailable, HostKeyMismatch."""
        stream = Stream(environment_id, session, size, self._ended)
        stream.lease = await self._pool.acquire(target)
        try:
            await self._pool.open_terminal(
                stream.lease.connection, lambda: stream, command=command, cols=size[0], rows=size[1]
            )
        except BaseException:
            stream.close()
            raise
        self._streams[stream.id] = stream
        log.info("terminal_opened", environment=str(environment_id), stream=stream.id)
        return self._view(stream, 0)

    def _view(self, stream: Stream, offset: int) -> Viewer:
        if stream.viewer is not None:
            stream.viewer.replaced = True
            stream.viewer.notice()
        self._away.pop(stream.id, None)
        if stream.lingering is not None:
            stream.lingering.cancel()
        stream.viewer = Viewer(stream, offset)
        stream.sent(offset)
        return stream.viewer

    def leave(self, viewer: Viewer) -> None:
        """The viewer's socket is gone. Its stream waits for it to come back, for a while."""
        stream = viewer.stream
        if stream.viewer is not viewer:
            return  # another socket has the stream now
        stream.viewer = None
        if stream.ended.is_set():
            return self.end(stream)
        stream.sent(viewer.offset)
        stream.lingering = asyncio.get_running_loop().call_later(self._resume_s, self.end, stream)
        self._away[stream.id] = stream
        away = [one for one in self._away.values() if one.environment_id == stream.environment_id]
        for one in away[:-LINGERING_MAX]:
            self.end(one)
        while len(self._away) > LINGERING_TOTAL_MAX:
            self.end(next(iter(self._away.values())))

    def _ended(self, stream: Stream) -> None:
        """A channel has closed. Where somebody still reads its last bytes, leaving ends it."""
        if stream.viewer is None:
            self.end(stream)

    def end(self, stream: Stream) -> None:
        """Forget a stream and let its connection go."""
        self._streams.pop(stream.id, None)
        self._away.pop(stream.id, None)
        stream.close()

    def close(self) -> None:
        """End all of them."""
        for stream in list(self._streams.values()):
            self.end(stream)
