"""The terminals of this process. WebSockets come and go; a stream outlives its viewer for `resume_s`.

One that returns and says how many bytes it has goes on with the next byte. Several devices on one environment are
several streams: tmux shows them the same screen, each at its own pace (docs/decisions/0001).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from environments.ssh import SSHPool, Target
from terminals import counters
from terminals.protocol import ResumePoint
from terminals.stream import FIRST_SIZE, Place, Stream, Viewer

log = structlog.get_logger(__name__)

LINGERING_MAX = 10  # streams without a viewer kept for an environment: as many as a user may have at once
LINGERING_TOTAL_MAX = 256  # and for all of them together: 256 MiB at the very most
EXITED_MAX = 1024  # streams of which is known that their shell has ended


class Hub:
    """All streams of this process."""

    def __init__(self, pool: SSHPool, *, resume_s: float) -> None:
        self._pool, self._resume_s = pool, resume_s
        self._streams: dict[str, Stream] = {}
        self._away: dict[str, Stream] = {}  # those without a viewer; whose left longest ago comes first
        self._exited: dict[str, Place] = {}  # whose shell has ended, the latest of them

    def resume(self, place: Place, point: ResumePoint) -> Viewer | None:
        """Go on reading a stream where the client left off; None where stream or bytes are gone.

        A plain shell is only in its stream, so it is gone on with also where bytes are missing.
        """
        stream = self._streams.get(point.stream)
        if stream is None or stream.ended.is_set() or stream.place != place or point.offset > stream.replay.end:
            return None
        if point.offset < stream.replay.start and stream.place.session is not None:
            return None
        return self._view(stream, point.offset, is_replay=True)

    def counts(self) -> tuple[int, int]:
        """How many streams there are, and how many of them have no viewer. From any thread."""
        return len(self._streams), len(self._away)

    def find(self, stream_id: str) -> Stream | None:
        return self._streams.get(stream_id)

    def has_exited(self, place: Place, stream_id: str) -> bool:
        """Whether the shell of that stream has ended, with its client looking or away."""
        return self._exited.get(stream_id) == place

    async def open(self, place: Place, *, target: Target, command: str, size: tuple[int, int] = FIRST_SIZE) -> Viewer:
        """A new PTY on the machine, `size` its columns and rows. Raises: SSHUnavailable, HostKeyMismatch."""
        stream = Stream(place, size, self._ended)
        asked_at = time.monotonic()
        stream.lease = await self._pool.acquire(target)
        try:
            await self._pool.open_terminal(
                stream.lease.connection, lambda: stream, command=command, cols=size[0], rows=size[1]
            )
        except BaseException:
            stream.close()
            raise
        counters.attached(time.monotonic() - asked_at)
        self._streams[stream.id] = stream
        log.info("terminal_opened", environment=str(place.environment_id), stream=stream.id)
        return self._view(stream, 0, is_replay=False)

    def _view(self, stream: Stream, offset: int, *, is_replay: bool) -> Viewer:
        if stream.viewer is not None:
            stream.viewer.replace()
        self._away.pop(stream.id, None)
        if stream.lingering is not None:
            stream.lingering.cancel()
        stream.viewer = Viewer(stream, offset, is_replay=is_replay)
        stream.sent(stream.viewer.offset)
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
        away = [one for one in self._away.values() if one.place.environment_id == stream.place.environment_id]
        away.sort(key=lambda one: one.place.session is None)  # a plain shell is lost with its stream: those go last
        for one in away[:-LINGERING_MAX]:
            self.end(one)
        while len(self._away) > LINGERING_TOTAL_MAX:
            self.end(next(iter(self._away.values())))

    def replace(self, stream: Stream) -> None:
        """End a stream whose client goes on elsewhere; a socket that still has it is told."""
        if stream.viewer is not None:
            stream.viewer.replace()
            stream.viewer = None
        self.end(stream)

    def _ended(self, stream: Stream) -> None:
        """A channel has closed. Where somebody still reads its last bytes, leaving ends it."""
        if stream.viewer is None:
            self.end(stream)

    def end(self, stream: Stream) -> None:
        """Forget a stream and let its connection go."""
        if self._streams.pop(stream.id, None) is not None and stream.shell_exited:
            self._exited[stream.id] = stream.place
            if len(self._exited) > EXITED_MAX:
                del self._exited[next(iter(self._exited))]
        self._away.pop(stream.id, None)
        stream.close()

    def close(self) -> None:
        """End all of them."""
        for stream in list(self._streams.values()):
            self.end(stream)
