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
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from uuid import UUID

import asyncssh
import structlog

from devpocket.tasks import TaskOwner
from environments.ssh import SSHPool, Target, open_terminal
from terminals.protocol import ResumePoint
from terminals.replay import ReplayBuffer

log = structlog.get_logger(__name__)

REPLAY_BYTES = 1024 * 1024
UNSENT_MAX_BYTES = 256 * 1024  # what a viewer may be behind before the channel is stopped
FRAME_MAX_BYTES = 16 * 1024  # contract 9.3
FIRST_COLS, FIRST_ROWS = 80, 24
LINGERING_MAX = 4  # streams without a viewer kept for an environment


class Stream(asyncssh.SSHClientSession[bytes]):
    """One PTY. At most one viewer at a time reads it; a second one takes its place."""

    def __init__(self, environment_id: UUID, session: str, on_end: Callable[[Stream], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.environment_id, self.session = environment_id, session
        self.replay = ReplayBuffer(REPLAY_BYTES)
        self.viewer: Viewer | None = None
        self.sent_offset = 0  # how far the viewer has read, or had when it left
        self.exit_status: int | None = None
        self.ended = asyncio.Event()
        self.lingering: asyncio.TimerHandle | None = None
        self.connection = AsyncExitStack()  # holds the shared SSH connection open
        self._on_end = on_end
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._is_paused = False
        self._writable = asyncio.Event()
        self._writable.set()

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
        """Stop or restart the channel by how far its reader is behind. Away, it may fall behind by the whole buffer."""
        room = UNSENT_MAX_BYTES if self.viewer is not None else REPLAY_BYTES
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

    async def write(self, data: bytes) -> None:
        """Type. Waits while the machine takes no more, which is how a client is slowed down."""
        if self._channel is None or self.ended.is_set():
            return
        self._channel.write(data)
        await self._writable.wait()

    def resize(self, cols: int, rows: int) -> None:
        if self._channel is not None and not self.ended.is_set():
            self._channel.change_terminal_size(cols, rows)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


class Viewer:
    """A client's place in a stream."""

    def __init__(self, stream: Stream, offset: int) -> None:
        self.stream = stream
        self.offset = offset
        self.replaced = False
        self._news = asyncio.Event()

    def notice(self) -> None:
        self._news.set()

    async def follow(self) -> AsyncIterator[tuple[str, int]]:
        """Text as it comes, whole characters, with the offset of its end; ends with the stream, or when replaced.

        Invalid bytes become U+FFFD. A character of which only a part has come waits for the rest.
        """
        while not self.replaced:
            self._news.clear()  # before looking, so that no wake-up is missed
            final = self.stream.ended.is_set()
            first, data = self.stream.replay.since(self.offset, FRAME_MAX_BYTES)
            text, used = codecs.utf_8_decode(data, "replace", final)
            if used:
                self.offset = first + used
                yield text, self.offset
                self.stream.sent(self.offset)
            elif final:
                return
            else:
                await self._news.wait()


class Hub:
    """All streams of this process."""

    def __init__(self, pool: SSHPool, *, resume_s: float) -> None:
        self._pool, self._resume_s = pool, resume_s
        self._streams: OrderedDict[str, Stream] = OrderedDict()  # those whose viewer left longest ago first
        self._tasks = TaskOwner()

    def resume(self, environment_id: UUID, session: str, point: ResumePoint) -> Viewer | None:
        """Go on reading a stream where the client left off; None where stream or bytes are gone."""
        stream = self._streams.get(point.stream)
        if (
            stream is None
            or stream.ended.is_set()
            or (stream.environment_id, stream.session) != (environment_id, session)
        ):
            return None
        if not stream.replay.start <= point.offset <= stream.replay.end:
            return None
        return self._view(stream, point.offset)

    async def open(self, environment_id: UUID, session: str, *, target: Target, command: str) -> Viewer:
        """A new PTY on the machine. Raises: SSHUnavailable, HostKeyMismatch."""
        stream = Stream(environment_id, session, self._ended)
        try:
            connection = await stream.connection.enter_async_context(self._pool.use(target))
            await open_terminal(connection, lambda: stream, command=command, cols=FIRST_COLS, rows=FIRST_ROWS)
        except BaseException:
            await stream.connection.aclose()
            raise
        self._streams[stream.id] = stream
        log.info("terminal_opened", environment=str(environment_id), stream=stream.id)
        return self._view(stream, 0)

    def _view(self, stream: Stream, offset: int) -> Viewer:
        if stream.viewer is not None:
            stream.viewer.replaced = True
            stream.viewer.notice()
        if stream.lingering is not None:
            stream.lingering.cancel()
            stream.lingering = None
        stream.viewer = Viewer(stream, offset)
        stream.sent(offset)
        return stream.viewer

    async def leave(self, viewer: Viewer) -> None:
        """The viewer's socket is gone. Its stream waits for it to come back, for a while."""
        stream = viewer.stream
        if stream.viewer is not viewer:
            return  # another socket has the stream now
        stream.viewer = None
        if stream.ended.is_set():
            await self.end(stream)
            return
        stream.sent(viewer.offset)
        self._streams.move_to_end(stream.id)
        stream.lingering = asyncio.get_running_loop().call_later(self._resume_s, stream.close)
        away = [
            one for one in self._streams.values() if one.environment_id == stream.environment_id and one.viewer is None
        ]
        for one in away[:-LINGERING_MAX]:
            one.close()

    def _ended(self, stream: Stream) -> None:
        """A channel has closed. Where somebody still reads its last bytes, leaving ends it."""
        if stream.viewer is None and stream.id in self._streams:
            self._tasks.start(self.end(stream), name=f"end-{stream.id}")

    async def end(self, stream: Stream) -> None:
        """Forget a stream and let its connection go. The tmux session lives on."""
        self._streams.pop(stream.id, None)
        if stream.lingering is not None:
            stream.lingering.cancel()
        stream.close()
        await stream.connection.aclose()

    async def aclose(self) -> None:
        for stream in list(self._streams.values()):
            await self.end(stream)
        await self._tasks.aclose()
