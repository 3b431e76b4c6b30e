"""A recorder on real files: what it keeps, where it stops, and that the terminal never notices."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import tracemalloc
import uuid
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async

from accounts.models import User
from accounts.services import SignIn
from environments.models import Environment
from environments.tests.sshd import eventually
from terminals import recorder as recorder_module
from terminals import recording_files, recordings
from terminals.models import Recording
from terminals.recorder import WAITING_MAX_BYTES, Recorder, recorders_aclose, recording_begin
from terminals.tests.recordings.casts import Cast, read_cast, storage
from terminals.tests.recordings.conftest import Begin, left_in

pytestmark = pytest.mark.django_db(transaction=True)

State = Recording.State
FLOOD = b"y\r\n" * 5000


@database_sync_to_async
def row_of(recorder: Recorder) -> Recording:
    return Recording.objects.get(pk=recorder.id)


@database_sync_to_async
def cast_of(recorder: Recorder) -> Cast:
    recording = Recording.objects.get(pk=recorder.id)
    with recording.file.open("rb") as file:
        data: bytes = file.read()
    assert len(data) == recording.size_bytes
    cast = read_cast(data)
    assert recording.duration_s == (cast.events[-1][0] if cast.events else 0)
    return cast


async def test_what_a_terminal_says_is_stored_once_it_ends(places: Path, begin: Begin) -> None:
    recorder = await begin(session="logs", cols=100, rows=30)
    row = await row_of(recorder)
    assert (row.state, row.session, row.cols, row.rows, row.file.name) == (State.RECORDING, "logs", 100, 30, "")
    recorder.output("ls €".encode()[:-1])
    recorder.output("€".encode()[-1:] + b"\r\n")
    recorder.resized(120, 40)
    recorder.output(b"after\xff\xe2\x82")  # the last character never becomes whole
    await recorder.aclose()
    cast = await cast_of(recorder)
    assert [event[1:] for event in cast.events] == [
        ("o", "ls €\r\n"),
        ("r", "120x40"),
        ("o", "after\ufffd"),
        ("o", "\ufffd"),
    ]
    assert (cast.header["width"], cast.header["height"], cast.header["title"]) == (100, 30, 'Ann\'s "home" 🏠')
    assert abs(cast.header["timestamp"] - time.time()) < 60
    row = await row_of(recorder)
    assert (row.state, row.environment_name) == (State.COMPLETE, 'Ann\'s "home" 🏠')
    assert row.started_at <= row.ended_at
    assert left_in(places) == [f"media/recordings/{recorder.id}.cast"]
    assert (places / "media" / row.file.name).stat().st_mode & 0o077 == 0  # nobody else on this host reads it


async def test_what_comes_after_the_end_is_ignored_and_closing_twice_is_harmless(begin: Begin) -> None:
    recorder = await begin()
    recorder.output(b"x")
    await asyncio.gather(recorder.aclose(), recorder.aclose())
    recorder.output(b"late")
    recorder.resized(1, 1)
    await recorder.aclose()
    assert (await cast_of(recorder)).text == "x"


async def test_what_is_said_reaches_the_disk_while_it_goes_on(places: Path, begin: Begin) -> None:
    recorder = await begin()
    recorder.output(b"so far\r\n")
    path = places / "work" / f"{recorder.id}.cast"
    await eventually(lambda: b"so far" in path.read_bytes())
    assert path.stat().st_mode & 0o077 == 0
    await recorder.aclose()


async def test_output_of_the_same_moment_is_one_event(
    home: Environment, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = await begin()
    now = recorder._began_at
    monkeypatch.setattr(recorder, "_clock", lambda: now)
    for letter in "abc":
        recorder.output(letter.encode())
        now += 0.002
    recorder.output(b"d")
    now += 1
    recorder.resized(10, 10)
    recorder.output(b"e")
    await recorder.aclose()
    assert (await cast_of(recorder)).events == [
        (0.0, "o", "abc"),
        (0.006, "o", "d"),
        (1.006, "r", "10x10"),
        (1.006, "o", "e"),
    ]


async def test_a_flood_makes_few_events_and_loses_nothing(begin: Begin) -> None:
    recorder = await begin()
    for _ in range(300):
        recorder.output(FLOOD)
        await asyncio.sleep(0.001)  # what the stream's own work takes, at least
    await recorder.aclose()
    cast = await cast_of(recorder)
    assert cast.text == (FLOOD * 300).decode()
    assert len(cast.events) < 300


async def test_at_the_size_limit_it_stops_with_whole_lines(places: Path, begin: Begin, settings: Any) -> None:
    settings.RECORDING_MAX_BYTES = 20_000
    recorder = await begin()
    recorder.output(b"first")
    await eventually(lambda: recorder._size_bytes > 150)
    recorder.output(b"x" * 30_000)
    await asyncio.wait([recorder._work])  # by itself: nobody has closed it
    row = await row_of(recorder)
    assert (row.state, row.size_bytes <= 20_000, row.ended_at is not None) == (State.LIMITED, True, True)
    assert (await cast_of(recorder)).text == "first"
    recorder.output(b"more")
    await recorder.aclose()
    assert (await cast_of(recorder)).text == "first"
    assert left_in(places) == [f"media/recordings/{recorder.id}.cast"]


async def test_the_limit_is_one_for_all_that_is_written(begin: Begin, settings: Any) -> None:
    settings.RECORDING_MAX_BYTES = 20_000
    recorder = await begin()
    async with asyncio.timeout(10):
        while not recorder._work.done():
            written = recorder._size_bytes
            recorder.output(b"x" * 6_000)
            await eventually(lambda written=written: recorder._size_bytes > written or recorder._work.done())
    row = await row_of(recorder)
    assert (row.state, 18_000 < row.size_bytes <= 20_000) == (State.LIMITED, True)


async def test_the_last_bytes_count_against_the_limit_too(begin: Begin, settings: Any) -> None:
    settings.RECORDING_MAX_BYTES = 20_000
    recorder = await begin()
    recorder.output(b"x" * 30_000)
    await recorder.aclose()
    assert (await row_of(recorder)).state == State.LIMITED


class SlowDisk(FileIO):
    """Takes nothing until it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "a")
        self.may = threading.Event()

    def write(self, data: Any) -> int:
        assert self.may.wait(30)
        return super().write(data)


async def on_disk(begin: Begin, make: Callable[[Path], FileIO], places: Path) -> Recorder:
    """A recorder whose disk is another from now on."""
    recorder = await begin()
    lock, recorder._file = recorder._file, make(places / "work" / f"{recorder.id}.cast")
    lock.close()
    return recorder


async def test_a_slow_disk_ends_the_recording_and_memory_does_not_grow(places: Path, begin: Begin) -> None:
    disk: list[SlowDisk] = []

    def make(path: Path) -> FileIO:
        disk.append(SlowDisk(path))
        return disk[0]

    recorder = await on_disk(begin, make, places)
    tracemalloc.start()
    for _ in range(20_000):  # 300 MB
        recorder.output(FLOOD)
        await asyncio.sleep(0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 3 * WAITING_MAX_BYTES  # one buffer that gathers, one that is written, as bytes and as lines
    assert recorder.state == State.LIMITED
    disk[0].may.set()
    await recorder.aclose()
    cast = await cast_of(recorder)
    assert len(cast.text) >= WAITING_MAX_BYTES - len(FLOOD)
    assert (FLOOD * 400).decode().startswith(cast.text)  # from the beginning on, without a gap
    assert (await row_of(recorder)).state == State.LIMITED


async def test_a_disk_that_hangs_is_given_up(places: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WRITE_LIMIT_S", 0.05)
    disk: list[SlowDisk] = []

    def make(path: Path) -> FileIO:
        disk.append(SlowDisk(path))
        return disk[0]

    recorder = await on_disk(begin, make, places)
    recorder.output(b"x")
    await recorder.aclose()
    assert (await row_of(recorder)).state == State.BROKEN
    disk[0].may.set()


async def test_a_full_disk_ends_the_recording_and_not_the_terminal(places: Path, begin: Begin) -> None:
    recorder = await on_disk(begin, lambda path: FileIO("/dev/full", "w"), places)
    recorder.output(b"x")
    await asyncio.wait([recorder._work])
    recorder.output(b"the terminal goes on")
    row = await row_of(recorder)
    assert (row.state, row.ended_at is not None) == (State.BROKEN, True)
    assert (await cast_of(recorder)).events == []  # what was on the disk before is kept
    await recorder.aclose()


@pytest.mark.parametrize("kind", ["FullStorage", "AwayStorage"])
async def test_a_storage_that_fails_breaks_it_until_it_works_again(
    kind: str, places: Path, begin: Begin, settings: Any
) -> None:
    settings.STORAGES = storage(kind)
    recorder = await begin()
    recorder.output(b"kept")
    await recorder.aclose()
    row = await row_of(recorder)
    assert (row.state, row.file.name, row.ended_at is not None) == (State.BROKEN, "", True)
    settings.STORAGES = storage("FileSystemStorage")
    await database_sync_to_async(recordings.recordings_prune)()
    assert (await cast_of(recorder)).text == "kept"
    assert (await row_of(recorder)).state == State.BROKEN
    await database_sync_to_async(recordings.recording_orphans_delete)()  # what the full one has left
    assert left_in(places) == [f"media/{(await row_of(recorder)).file.name}"]


async def test_a_storage_that_hangs_is_given_up(
    places: Path, begin: Begin, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "STORE_LIMIT_S", 0.05)
    may = threading.Event()
    monkeypatch.setattr(recording_files, "publish", lambda recording_id: may.wait(30))
    recorder = await begin()
    await recorder.aclose()
    may.set()
    row = await row_of(recorder)
    assert (row.state, row.file.name) == (State.BROKEN, "")
    assert left_in(places) == [f"work/{recorder.id}.cast"]


async def test_where_nothing_can_be_written_there_is_no_recorder(
    ann: SignIn, home: Environment, settings: Any, places: Path
) -> None:
    (places / "file").touch()
    settings.RECORDING_WORK_DIR = places / "file" / "work"
    begun = await recording_begin(
        owner_id=ann.user.pk, environment_id=home.pk, environment_name=home.name, session="", cols=80, rows=24
    )
    assert begun is None
    assert not await database_sync_to_async(Recording.objects.exists)()


async def test_of_a_closed_account_nothing_is_recorded(ann: SignIn, home: Environment, places: Path) -> None:
    await database_sync_to_async(User.objects.update)(is_active=False)
    begun = await recording_begin(
        owner_id=ann.user.pk, environment_id=home.pk, environment_name=home.name, session="", cols=80, rows=24
    )
    assert begun is None
    await database_sync_to_async(recordings.recordings_prune)()
    assert left_in(places) == []
    assert not await database_sync_to_async(Recording.objects.exists)()


async def test_it_says_that_it_lives_and_how_far_it_is(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "RENEW_S", 0.02)
    recorder = await begin()
    recorder.output(b"x" * 1000)
    # Another process took it for dead, while this one was asleep.
    await database_sync_to_async(Recording.objects.update)(state=State.BROKEN)
    async with asyncio.timeout(5):
        while True:
            row = await row_of(recorder)
            if row.state == State.RECORDING and row.size_bytes > 1000:
                break
    assert row.duration_s > 0
    assert row.ended_at is None
    await recorder.aclose()
    assert (await row_of(recorder)).state == State.COMPLETE


async def test_one_whose_row_is_deleted_ends_and_leaves_nothing(
    places: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RENEW_S", 0.02)
    recorder = await begin()
    recorder.output(b"secret")
    await database_sync_to_async(recordings.recordings_delete)(Recording.objects.all())
    async with asyncio.timeout(5):
        await asyncio.wait([recorder._work])
    assert left_in(places) == []
    recorder.output(b"the terminal goes on")
    await recorder.aclose()


async def test_one_that_is_deleted_just_before_its_end_leaves_nothing(places: Path, begin: Begin) -> None:
    recorder = await begin()
    recorder.output(b"secret")
    await database_sync_to_async(recordings.recordings_delete)(Recording.objects.all())
    await recorder.aclose()
    assert left_in(places) == []
    assert not await database_sync_to_async(Recording.objects.exists)()


async def test_all_of_a_process_end_together(begin: Begin) -> None:
    recorders = [await begin() for _ in range(3)]
    for recorder in recorders:
        recorder.output(b"bye")
    await recorders_aclose()
    assert [(await cast_of(recorder)).text for recorder in recorders] == ["bye"] * 3
    assert not recorder_module._open


async def test_a_caller_that_is_cancelled_leaves_the_rest_to_upkeep(
    places: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, may = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    real = recording_files.publish

    def publish(recording_id: uuid.UUID) -> Any:
        loop.call_soon_threadsafe(reached.set)
        assert may.wait(30)
        raise OSError

    monkeypatch.setattr(recording_files, "publish", publish)
    recorder = await begin()
    recorder.output(b"kept")
    closing = asyncio.create_task(recorder.aclose())
    async with asyncio.timeout(5):
        await reached.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert recorder._work.done()
    may.set()
    monkeypatch.setattr(recording_files, "publish", real)
    await database_sync_to_async(recordings.recordings_prune)()
    assert (await cast_of(recorder)).text == "kept"
    assert os.listdir(places / "work") == []
