"""Streams and their viewers: exact text, bounded memory, nothing left open. On a real SSH server, without tmux."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.ssh import SSHPool, SSHUnavailable
from environments.tests.sshd import Machine, Process, eventually, flood
from terminals import hub as hub_module
from terminals.hub import LINGERING_MAX, Hub
from terminals.protocol import ResumePoint
from terminals.replay import ReplayBuffer
from terminals.stream import REPLAY_BYTES, TEXT_MAX_BYTES, Place, Viewer

HOME = uuid.uuid4()
PLACE = Place(HOME, "s")


class Recording:
    """A stream that has ended, or gets its bytes while it is read."""

    def __init__(self) -> None:
        self.replay = ReplayBuffer(1 << 20)
        self.ended = asyncio.Event()
        self.told: list[int] = []

    def sent(self, offset: int) -> None:
        self.told.append(offset)


async def read_all(chunks: list[bytes], start: int = 0) -> list[tuple[str, int]]:
    """What a viewer is given when the bytes come in these chunks, each after it has read all before."""
    stream: Any = Recording()
    viewer = Viewer(stream, start, is_replay=False)
    given: list[tuple[str, int]] = []

    async def follow() -> None:
        async for pieces in viewer.follow_text():
            given.extend(pieces)

    reading = asyncio.create_task(follow())
    for chunk in chunks:
        stream.replay.append(chunk)
        viewer.notice()
        await asyncio.sleep(0)
    stream.ended.set()
    viewer.notice()
    async with asyncio.timeout(5):
        await reading
    assert stream.told[-1:] == [offset for _, offset in given][-1:]
    return given


BYTES = st.lists(st.binary(max_size=12) | st.text(max_size=8).map(str.encode), max_size=20).map(b"".join)


@given(BYTES, st.lists(st.integers(0, 200)))
def test_text_is_the_same_however_its_bytes_are_cut(whole: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    given = asyncio.run(read_all([whole[a:b] for a, b in pairwise(edges)]))
    assert "".join(text for text, _ in given) == whole.decode(errors="replace")
    assert (given[-1][1] if given else 0) == len(whole)


@pytest.mark.parametrize("unit", ["日本🙂é".encode(), b"\xff", b"\xf0\x9f\x99", b"a\xe2\x82"])
@pytest.mark.parametrize("shift", range(4))
def test_long_text_comes_in_frames_of_16_kib_and_whole_characters(unit: bytes, shift: int) -> None:
    whole = b"x" * shift + unit * 9000
    given = asyncio.run(read_all([whole]))
    assert "".join(text for text, _ in given) == whole.decode(errors="replace")
    assert max(len(text.encode()) for text, _ in given) <= TEXT_MAX_BYTES


@given(st.text(min_size=1, max_size=50), st.data())
def test_reading_may_begin_at_any_character(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(text) - 1))
    given = asyncio.run(read_all([text.encode()], start=len(text[:index].encode())))
    assert "".join(piece for piece, _ in given) == text[index:]


# --- On a machine


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        running.serve = talk
        yield running


@pytest.fixture
async def hub(machine: Machine) -> AsyncIterator[Hub]:
    pool = SSHPool(idle_close_s=0)
    hub = Hub(pool, resume_s=60)
    yield hub
    hub.close()
    await eventually(lambda: machine.open_channels == 0)
    await eventually(lambda: machine.connections == [])  # the last stream has let it go
    await pool.aclose()


async def talk(process: Process) -> None:
    """Say back what is typed, a line with the window's size for "size", and end for "exit 3"."""
    while True:
        try:
            line = await process.stdin.readline()
        except asyncssh.TerminalSizeChanged:
            continue
        if not line:
            return
        if line == b"size\n":
            process.stdout.write(b"%d x %d\n" % process.term_size[:2])
        elif line == b"exit 3\n":
            process.exit(3)
            return
        else:
            process.stdout.write(line)


async def opened(hub: Hub, machine: Machine, session: str | None = "s", **options: Any) -> Viewer:
    return await hub.open(Place(HOME, session), target=machine.target(), command="shell", **options)


async def read_until(viewer: Viewer, expected: str) -> str:
    shown = ""
    async with asyncio.timeout(5):
        async for pieces in viewer.follow_text():
            shown += "".join(text for text, _ in pieces)
            if expected in shown:
                return shown
    raise AssertionError(f"ended after {shown[-200:]!r}")


def point(viewer: Viewer) -> ResumePoint:
    return ResumePoint(viewer.stream.id, viewer.offset)


async def test_what_is_typed_comes_back(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine)
    viewer.stream.write(b"hello\n")
    assert await read_until(viewer, "\n") == "hello\n"
    hub.leave(viewer)


async def test_the_end_of_the_shell_is_seen(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine)
    viewer.stream.write(b"exit 3\n")
    async with asyncio.timeout(5):
        assert [piece async for piece in viewer.follow_text()] == []
    assert viewer.stream.shell_exited
    assert viewer.stream.exit_status == 3
    viewer.stream.write(b"into nothing")
    viewer.stream.resize(10, 10)
    hub.leave(viewer)
    assert hub.resume(PLACE, point(viewer)) is None


async def test_a_broken_connection_is_no_end_of_the_shell(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine)
    machine.break_connections()
    async with asyncio.timeout(5):
        assert [piece async for piece in viewer.follow_text()] == []
    assert not viewer.stream.shell_exited
    hub.leave(viewer)


async def test_the_window_has_the_size_it_was_opened_with_and_the_last_one_told(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine, size=(101, 33))
    viewer.stream.write(b"size\n")
    assert await read_until(viewer, "\n") == "101 x 33\n"
    for cols in range(1, 200):
        viewer.stream.resize(cols, 20)
    viewer.stream.write(b"size\n")  # at once: what is typed after a resize finds it done
    assert await read_until(viewer, "\n") == "199 x 20\n"
    hub.leave(viewer)


async def test_a_returning_viewer_goes_on_with_the_next_byte(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine)
    viewer.stream.write(b"one\n")
    await read_until(viewer, "one\n")
    hub.leave(viewer)
    viewer.stream.write(b"two\n")
    await eventually(lambda: viewer.stream.replay.end == 8)
    again = hub.resume(PLACE, point(viewer))
    assert again is not None
    assert await read_until(again, "\n") == "two\n"
    hub.leave(again)


async def test_only_ones_own_stream_and_bytes_that_exist_are_resumed(hub: Hub, machine: Machine) -> None:
    viewer = await opened(hub, machine)
    stream = viewer.stream.id
    assert hub.resume(Place(HOME, "other"), ResumePoint(stream, 0)) is None
    assert hub.resume(Place(uuid.uuid4(), "s"), ResumePoint(stream, 0)) is None
    assert hub.resume(PLACE, ResumePoint("nonsense", 0)) is None
    assert hub.resume(PLACE, ResumePoint(stream, 1)) is None
    assert not viewer.replaced
    hub.leave(viewer)


async def test_a_second_viewer_takes_the_first_ones_place(hub: Hub, machine: Machine) -> None:
    first = await opened(hub, machine)
    second = hub.resume(PLACE, point(first))
    assert second is not None
    assert [piece async for piece in first.follow_text()] == []
    assert first.replaced
    hub.leave(first)  # which changes nothing for the second
    second.stream.write(b"here\n")
    assert await read_until(second, "\n") == "here\n"
    hub.leave(second)


async def test_a_viewer_that_reads_nothing_stops_the_machine(hub: Hub, machine: Machine) -> None:
    machine.serve = flood
    viewer = await opened(hub, machine)
    await eventually(lambda: viewer.stream._is_paused)
    held = viewer.stream.replay.end
    for _ in range(50):
        await asyncio.sleep(0.002)
    assert viewer.stream.replay.end == held < REPLAY_BYTES / 2
    async with asyncio.timeout(5):
        async for [*_, (_, offset)] in viewer.follow_text():
            if offset > 3 * REPLAY_BYTES:
                break
    hub.leave(viewer)


async def test_what_was_sent_last_is_kept_however_much_comes_while_nobody_reads(hub: Hub, machine: Machine) -> None:
    """It may have been lost on its way to the client, which then asks for it again."""
    machine.serve = flood
    viewer = await opened(hub, machine)
    arrived = 0
    async for [*_, (_, offset)] in viewer.follow_text():
        if offset > 2 * REPLAY_BYTES:
            break
        arrived = offset if offset <= 2 * REPLAY_BYTES - 150_000 else arrived
    hub.leave(viewer)
    await eventually(lambda: viewer.stream._is_paused)
    assert viewer.stream.replay.end - viewer.stream.replay.start <= REPLAY_BYTES
    again = hub.resume(PLACE, ResumePoint(viewer.stream.id, arrived))
    assert again is not None
    [(text, _), *_] = await anext(again.follow_text())
    cycle = "y\r\n" * 10_000
    assert cycle[arrived % 3 :].startswith(text)
    hub.leave(again)


async def test_few_streams_without_a_viewer_are_kept(hub: Hub, machine: Machine) -> None:
    viewers = [await opened(hub, machine) for _ in range(LINGERING_MAX + 2)]
    for viewer in viewers:
        hub.leave(viewer)
    await eventually(lambda: machine.open_channels == LINGERING_MAX)
    kept = [hub.resume(PLACE, point(viewer)) for viewer in viewers]
    assert [viewer is not None for viewer in kept] == [False, False, *[True] * LINGERING_MAX]


async def test_plain_shells_are_kept_longest(hub: Hub, machine: Machine) -> None:
    plain = await opened(hub, machine, None)
    hub.leave(plain)
    for _ in range(LINGERING_MAX + 1):
        hub.leave(await opened(hub, machine))
    await eventually(lambda: machine.open_channels == LINGERING_MAX)
    assert hub.resume(Place(HOME, None), point(plain)) is not None


async def test_all_environments_together_keep_a_limited_number(
    hub: Hub, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LINGERING_TOTAL_MAX", 3)
    for _ in range(6):
        hub.leave(await hub.open(Place(uuid.uuid4(), "s"), target=machine.target(), command="shell"))
    await eventually(lambda: machine.open_channels == 3)


async def test_a_stream_nobody_returns_to_ends(machine: Machine) -> None:
    pool = SSHPool(idle_close_s=0)
    hub = Hub(pool, resume_s=0.02)
    hub.leave(await opened(hub, machine))
    await eventually(lambda: machine.connections == [])
    await pool.aclose()


async def test_opening_that_is_cancelled_leaves_nothing_open(hub: Hub, machine: Machine) -> None:
    """Nor does one that is cancelled when the machine has just answered. The fixture looks."""
    keep = await opened(hub, machine)
    for turns in range(0, 40, 3):
        opening = asyncio.create_task(opened(hub, machine))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if not opening.cancelled() and opening.exception() is None:
            hub.leave(opening.result())
    await eventually(lambda: machine.open_channels == len(hub._streams))
    hub.leave(keep)


async def test_a_machine_that_takes_no_input_says_so(hub: Hub, machine: Machine) -> None:
    async def deaf(process: Process) -> None:
        process.channel.pause_reading()
        await process.wait_closed()

    machine.serve = deaf
    viewer = await opened(hub, machine)
    while viewer.stream.is_writable:
        viewer.stream.write(b"x" * 65536)
        await asyncio.sleep(0)
    waiting = asyncio.create_task(viewer.stream.writable())
    machine.break_connections()
    async with asyncio.timeout(5):
        await waiting  # whoever waits is let go when the machine is gone
    hub.leave(viewer)


async def test_a_machine_that_refuses_more_sessions_is_unavailable(hub: Hub, machine: Machine) -> None:
    first = await opened(hub, machine)
    machine.session_limit = 1
    with pytest.raises(SSHUnavailable):
        await opened(hub, machine)
    hub.leave(first)
