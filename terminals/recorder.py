"""Writes a terminal's output down while it goes on. The terminal never waits for it, nor ends with it.

Path of a byte: `output` (event loop), a buffer of WAITING_MAX_BYTES, the file on this host (a thread); at the end the
whole file goes into Django's storage (another thread). Output that comes faster than the disk takes it ends the
recording, as its size limit does: a gap would leave a wrong screen, and waiting would slow the terminal down.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from typing import Any, TypeVar
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError

from devpocket.tasks import TaskOwner
from terminals import asciicast, counters, recording_files, recordings
from terminals.models import Recording
from terminals.recording_files import Kept

log = structlog.get_logger(__name__)

State = Recording.State
T = TypeVar("T")

WAITING_MAX_BYTES = 2 * 1024 * 1024  # what the disk may be behind; memory is three times that at the very most
SOON_BYTES = 64 * 1024  # so much isn't gathered any longer
GATHER_S = 0.5  # how long output may wait to be written together; a crash loses no more
JOIN_S = 0.005  # output of the same moment is one event
JOINED_MAX_BYTES = 64 * 1024
RESIZE_BYTES = 100  # what a resize counts for
RENEW_S = 30.0
BEGIN_LIMIT_S = 5
WRITE_LIMIT_S = 10  # of a batch, by a disk that hangs
STORE_LIMIT_S = 120
ROW_LIMIT_S = 20

# Threads of their own: a storage that hangs holds up neither the disks nor the rest of the server.
_writing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="recording-write")
_storing = ThreadPoolExecutor(max_workers=4, thread_name_prefix="recording-store")

_open: set[Recorder] = set()  # held here until they have ended: whose terminal is gone has no other owner


async def _in(pool: ThreadPoolExecutor, limit_s: float, work: Callable[..., T], *args: Any) -> T:
    """Raises: what `work` does; TimeoutError, and then the thread goes on, but nobody waits for it any more."""
    async with asyncio.timeout(limit_s):
        return await asyncio.get_running_loop().run_in_executor(pool, work, *args)


async def recording_begin(
    *, owner_id: UUID, environment_id: UUID, environment_name: str, session: str, cols: int, rows: int
) -> Recorder | None:
    """Record a terminal from now on. `session`: its name, empty for the environment's own; the size in characters.

    None where that can't be: nothing can be written on this host, no database, or the account was closed. Within 10 s.
    """
    recording_id = uuid.uuid4()
    file: FileIO | None = None
    row: Recording | None = None
    try:
        file = await _in(_writing, BEGIN_LIMIT_S, _begin_file, recording_id, cols, rows, environment_name)
        async with asyncio.timeout(BEGIN_LIMIT_S):
            # A thread of its own: it deletes what is too much, and so waits for the storage.
            row = await database_sync_to_async(recordings.recording_create, thread_sensitive=False)(
                recording_id=recording_id,
                owner_id=owner_id,
                environment_id=environment_id,
                environment_name=environment_name,
                session=session,
                cols=cols,
                rows=rows,
            )
    except (OSError, DatabaseError):  # a TimeoutError is an OSError
        log.exception("recording_not_begun", environment=str(environment_id))
    finally:
        if row is None and file is not None:
            file.close()  # unlocked, and without a row: recordings_prune takes it away
    if row is None or file is None:
        return None
    log.info("recording_begun", recording=str(recording_id), environment=str(environment_id))
    return Recorder(recording_id, file)


def _begin_file(recording_id: UUID, cols: int, rows: int, title: str) -> FileIO:
    file = recording_files.work_begin(recording_id)
    try:
        _put(file, asciicast.header(cols, rows, timestamp=int(time.time()), title=title))
    except OSError:
        file.close()
        recording_files.work_forget(recording_id)
        raise
    return file


def _put(file: FileIO, data: bytes | bytearray) -> None:
    """All of it: a raw file takes less where the disk becomes full. Raises: OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


async def recorders_aclose() -> None:
    """End all recordings of this process, together: what its shutdown waits for."""
    await asyncio.gather(*(recorder.aclose() for recorder in list(_open)))


@dataclass(slots=True)
class _Output:
    at: float
    data: bytearray


@dataclass(frozen=True, slots=True)
class _Resized:
    at: float
    cols: int
    rows: int


class Recorder:
    """One recording. Begun by `recording_begin`, in the event loop that all its methods are called in.

    Its own task writes what has gathered, and ends it: when it is closed, is full, is deleted, or can't be written.
    """

    def __init__(self, recording_id: UUID, file: FileIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = recording_id
        self.state = State.RECORDING  # or what it has ended as
        self._file, self._clock = file, clock
        self._began_at = clock()
        self._events = asciicast.Events(self._began_at)
        self._size_bytes = file.tell()
        self._limit_bytes: int = settings.RECORDING_MAX_BYTES
        self._waiting: list[_Output | _Resized] = []
        self._waiting_bytes = 0
        self._is_wanted = True  # False: its row was deleted
        self._news, self._hurry = asyncio.Event(), asyncio.Event()
        self._tasks = TaskOwner()
        self._renewing = self._tasks.start(self._renew(), name="recording-renewal")
        self._work = self._tasks.start(self._run(), name="recording")
        _open.add(self)
        counters.recording_started()
        self._work.add_done_callback(lambda _: _open.discard(self))

    # --- Called by the stream: neither waits

    def output(self, data: bytes) -> None:
        """What the terminal has said. Where the disk is too far behind, the recording ends here."""
        if not self._take(len(data)):
            return
        now = self._clock()
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Output) and now - last.at < JOIN_S and len(last.data) < JOINED_MAX_BYTES:
            last.data += data
        else:
            self._waiting.append(_Output(now, bytearray(data)))

    def resized(self, cols: int, rows: int) -> None:
        """The terminal's size in characters, from now on."""
        if self._take(RESIZE_BYTES):
            self._waiting.append(_Resized(self._clock(), cols, rows))

    def _take(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        if self.state != State.RECORDING:
            return False
        if self._waiting_bytes + size > WAITING_MAX_BYTES:
            log.warning("recording_behind", recording=str(self.id))
            self._stop(State.LIMITED)
            return False
        self._waiting_bytes += size
        self._news.set()
        if self._waiting_bytes >= SOON_BYTES:
            self._hurry.set()
        return True

    def close(self) -> None:
        """End it, without waiting: its task writes what is left and puts the file into the storage."""
        self._stop(State.COMPLETE)

    async def aclose(self) -> None:
        """End it, and wait until its file is in the storage and its row says so, or that has failed.

        A caller that is cancelled meanwhile ends the work as well; what is on this host's disk is then kept by
        `recordings_prune`.
        """
        self.close()
        try:
            await asyncio.wait([self._work])
        finally:
            await self._tasks.aclose()

    def _stop(self, state: State) -> None:
        if self.state == State.RECORDING:
            self.state = state
        self._news.set()
        self._hurry.set()

    # --- Its tasks

    async def _run(self) -> None:
        try:
            try:
                await self._write_all()
            except OSError:  # a disk that is full, or has hung for too long
                log.exception("recording_not_written", recording=str(self.id))
                self.state = State.BROKEN
            if await self._publish():
                await _in(_writing, WRITE_LIMIT_S, recording_files.work_forget, self.id)
                log.info("recording_ended", recording=str(self.id), state=self.state)
        finally:
            counters.recording_ended(State.BROKEN if self.state == State.RECORDING else self.state)
            self._renewing.cancel()
            with suppress(TimeoutError):
                await _in(_writing, WRITE_LIMIT_S, self._file.close)

    async def _write_all(self) -> None:
        """What comes, until the recording ends. Raises: OSError."""
        is_last = False
        while not is_last:
            await self._news.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._hurry.wait()
            is_last = self.state != State.RECORDING
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._news.clear()
            self._hurry.clear()
            if not await _in(_writing, WRITE_LIMIT_S, self._write, waiting, is_last):
                self.state = State.LIMITED
                self._waiting = []
                return

    def _write(self, waiting: list[_Output | _Resized], is_last: bool) -> bool:
        """In a thread. False: the file is full; what it has are whole lines. Raises: OSError."""
        lines = bytearray()
        has_room = True
        for line in self._lines(waiting, is_last):
            has_room = self._size_bytes + len(lines) + len(line) <= self._limit_bytes
            if not has_room:
                break
            lines += line
        _put(self._file, lines)
        self._size_bytes += len(lines)
        return has_room

    def _lines(self, waiting: list[_Output | _Resized], is_last: bool) -> Iterator[bytes]:
        for event in waiting:
            if isinstance(event, _Output):
                yield self._events.output(event.at, bytes(event.data))
            else:
                yield self._events.resized(event.at, event.cols, event.rows)
        if is_last:
            yield self._events.end(self._clock())

    async def _publish(self) -> bool:
        """Whether the file on this host is needed no more: it is in the storage, or nobody wants it."""
        kept: Kept | None = None
        try:
            if self._is_wanted:
                kept = await _in(_storing, STORE_LIMIT_S, recording_files.publish, self.id)
        except Exception:  # each storage has errors of its own
            log.exception("recording_not_stored", recording=str(self.id))
            self.state = State.BROKEN
        self._renewing.cancel()  # which would have it written again
        try:
            async with asyncio.timeout(ROW_LIMIT_S):
                end = database_sync_to_async(recordings.recording_end)
                self._is_wanted = await end(recording_id=self.id, state=self.state, kept=kept)
        except (OSError, DatabaseError):
            log.exception("recording_not_ended", recording=str(self.id))
            return False
        if not self._is_wanted and kept is not None:
            await _in(_storing, STORE_LIMIT_S, recording_files.stored_delete, kept.name)
        return kept is not None or not self._is_wanted

    async def _renew(self) -> None:
        """Say now and then that this is still written, and hear whether somebody wants it."""
        while True:
            await asyncio.sleep(RENEW_S)
            duration_s = self._clock() - self._began_at
            try:
                async with asyncio.timeout(ROW_LIMIT_S):
                    is_wanted = await database_sync_to_async(recordings.recording_renew)(
                        recording_id=self.id, size_bytes=self._size_bytes, duration_s=duration_s
                    )
            except (OSError, DatabaseError):
                log.exception("recording_not_renewed", recording=str(self.id))
                continue
            if not is_wanted:
                log.info("recording_deleted", recording=str(self.id))
                self._is_wanted = False
                return self._stop(State.COMPLETE)
