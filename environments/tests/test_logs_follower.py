"""Logs as they are written: once, in order, whatever becomes of the connection, the machine or who watches."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async

from accounts.services import SignIn
from environments import connections, log_follower
from environments.lifecycle import Phase
from environments.log_follower import LogFollower, LogFollowers
from environments.models import Environment, EnvironmentEvent
from environments.records import event_record
from environments.tests.homes import home_of, run_once
from environments.tests.sshd import Machine, Process, eventually, never

pytestmark = pytest.mark.django_db(transaction=True)

WAIT_S = 20


class Disk:
    """Of the machine; `answers`: how many commands it was asked."""

    def __init__(self, root: Path) -> None:
        self.root, self.answers = root, 0
        self.install = root / "var/log/devpocket/install.log"
        self.install.parent.mkdir(parents=True)

    def add(self, *lines: str) -> None:
        with self.install.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    async def serve(self, process: Process) -> None:
        self.answers += 1
        await run_once(self.root, process)

    async def until_read(self, times: int = 1) -> None:
        """Wait for a command that begins from now on to be answered, and another to begin."""
        wanted = self.answers + times + 1
        async with asyncio.timeout(WAIT_S):
            while self.answers < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


class Watch:
    """A viewer and what it was shown."""

    def __init__(self, follower: LogFollower, lines: int) -> None:
        self.follower, self.number = follower, follower.history_start(lines)
        self.shown: list[str] = []
        self.missed = 0
        self._steps = follower.follow(self.number)

    async def until(self, message: str) -> list[str]:
        """What was shown, up to this message."""
        try:
            async with asyncio.timeout(WAIT_S):
                while message not in self.shown:
                    missed, entries = await anext(self._steps)
                    self.missed += missed
                    self.shown += [entry.line.message for entry in entries]
        except TimeoutError:
            raise AssertionError(f"{message!r} did not come, but {self.shown[-20:]}") from None
        return self.shown


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
async def machine(settings: Any, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    monkeypatch.setattr(log_follower, "BUSY_EVERY_S", 0.02)
    monkeypatch.setattr(log_follower, "READ_EVERY_S", 0.02)
    monkeypatch.setattr(log_follower, "BACK_OFF_S", (0.02,))
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = disk.serve
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    return home_of(ann.user, machine, droplet_id=1)


@pytest.fixture
async def followers() -> AsyncIterator[LogFollowers]:
    followers = LogFollowers()
    yield followers
    assert len(followers) == 0


@database_sync_to_async
def change(home: Environment, **columns: Any) -> None:
    Environment.objects.filter(pk=home.pk).update(**columns)


@database_sync_to_async
def event(home: Environment, kind: str) -> None:
    event_record(home, kind=kind)


async def test_history_and_then_what_comes(disk: Disk, home: Environment, followers: LogFollowers) -> None:
    await event(home, "create_requested")
    disk.add(*(f"2020-01-01T10:00:00Z line {number}" for number in range(10)))
    async with followers.watching(home.pk) as follower:
        await follower.first_answer()
        watch = Watch(follower, 3)
        assert await watch.until("create_requested") == ["line 8", "line 9", "create_requested"]
        disk.add("next")
        await event(home, "restart_requested")
        follower.look()
        await watch.until("restart_requested")
        await watch.until("next")
        await disk.until_read()
        assert sorted(watch.shown[3:]) == ["next", "restart_requested"]
        everything = Watch(follower, 1000)
        await everything.until("next")
        assert len(everything.shown) == 13
        assert (await Watch(follower, 1000).until("line 0"))[0] == "line 0"


async def test_all_who_watch_share_one_reader(disk: Disk, home: Environment, followers: LogFollowers) -> None:
    disk.add("one")
    async with followers.watching(home.pk) as first, followers.watching(home.pk) as second:
        assert first is second
        await first.first_answer()
        watches = [Watch(first, 1000) for _ in range(3)]
        disk.add("two")
        for watch in watches:
            assert await watch.until("two") == ["one", "two"]
        assert len(followers) == 1
    before = disk.answers
    await asyncio.sleep(0.2)
    assert disk.answers == before  # nobody watches: nothing is read


async def test_one_who_leaves_takes_nothing_from_the_others(
    disk: Disk, home: Environment, followers: LogFollowers
) -> None:
    async with followers.watching(home.pk) as follower:
        async with followers.watching(home.pk):
            pass
        watch = Watch(follower, 10)
        disk.add("one")
        await watch.until("one")


async def test_every_line_once_however_often_the_connection_breaks(
    disk: Disk, home: Environment, machine: Machine, followers: LogFollowers
) -> None:
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 1000)
        expected = []
        for number in range(200):
            disk.add(f"line {number}")
            expected.append(f"line {number}")
            if number % 20 == 10:
                machine.break_connections()
            await asyncio.sleep(0.005)
        await watch.until(expected[-1])
        await disk.until_read(2)
        assert watch.shown == expected
        assert len(machine.logins) > 1


async def test_a_file_that_is_cut_short_begins_anew(disk: Disk, home: Environment, followers: LogFollowers) -> None:
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 1000)
        disk.add("one", "two")
        await watch.until("two")
        os.truncate(disk.install, 0)
        disk.add("three")
        assert await watch.until("three") == ["one", "two", "three"]


async def test_another_machine_is_read_from_its_beginning(
    disk: Disk, home: Environment, machine: Machine, followers: LogFollowers, tmp_path: Path
) -> None:
    """Even where its files look as the first one's did."""
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 1000)
        disk.add("one")
        await watch.until("one")
        await change(home, phase=Phase.CREATING, droplet_id=None, droplet_ip=None)
        follower.look()
        await change(home, phase=Phase.INSTALLING, droplet_id=2, droplet_ip="127.0.0.1")
        follower.look()
        disk.add("two")
        assert await watch.until("two") == ["one", "one", "two"]
        machines = [entry.machine for entry in follower.buffer.since(0, 10)[1]]
        assert machines == ["1", "2", "2"]


async def test_a_restart_goes_on_where_it_was(
    disk: Disk, home: Environment, machine: Machine, followers: LogFollowers
) -> None:
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 1000)
        disk.add("one")
        await watch.until("one")
        await change(home, phase=Phase.RESTARTING)
        follower.look()
        disk.add("two")
        machine.break_connections()
        await change(home, phase=Phase.RUNNING)
        follower.look()
        disk.add("three")
        assert await watch.until("three") == ["one", "two", "three"]


async def test_a_machine_is_read_from_the_first_second_it_answers(
    disk: Disk, home: Environment, machine: Machine, followers: LogFollowers, settings: Any
) -> None:
    assert not disk.install.exists()
    machine.session_limit = 0
    await change(home, phase=Phase.INSTALLING)
    async with followers.watching(home.pk) as follower:
        await follower.first_answer()
        watch = Watch(follower, 10)
        assert disk.answers == 0
        machine.session_limit = None
        await disk.until_read()  # it has no files yet
        disk.add("2020-01-01T10:00:00Z [user_setup] first")
        await watch.until("first")


@pytest.mark.parametrize("is_set_up", [True, False])
async def test_a_set_up_that_is_under_way_is_told_from_its_beginning(
    disk: Disk, home: Environment, followers: LogFollowers, is_set_up: bool
) -> None:
    """Of an old one the end is enough: 48 KiB of 160."""
    await change(home, installation_completed=is_set_up)
    disk.add(*(f"2020-01-01T10:00:00Z line {number:04} {'x' * 60}" for number in range(1700)), "last")
    async with followers.watching(home.pk) as follower:
        shown = await Watch(follower, 2000).until("last")
        assert shown[0].startswith("line 0000") is not is_set_up
        assert (len(shown) == 1701) is not is_set_up


async def test_a_machine_that_hangs_holds_nobody_up_for_long(
    home: Environment, machine: Machine, followers: LogFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "FIRST_LIMIT_S", 0.2)
    machine.serve = never
    async with followers.watching(home.pk) as follower:
        async with asyncio.timeout(3):
            await follower.first_answer()
        assert follower.buffer.end == 0


@pytest.mark.parametrize("answer", [b"", b"garbage\nend\n", b"install 1:1 99 0 0\nYQ=="])
async def test_answers_that_are_none_are_asked_for_again(
    answer: bytes, disk: Disk, home: Environment, machine: Machine, followers: LogFollowers
) -> None:
    asked = 0

    async def serve(process: Process) -> None:
        nonlocal asked
        asked += 1
        process.stdout.write(answer)
        process.exit(0)

    machine.serve = serve
    disk.add("one")
    async with followers.watching(home.pk) as follower:
        await eventually(lambda: asked > 2)
        machine.serve = disk.serve
        assert await Watch(follower, 10).until("one") == ["one"]


async def test_a_database_away_for_a_moment_ends_nothing(
    disk: Disk, home: Environment, followers: LogFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    look = log_follower._look

    def flaky(*arguments: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise OSError("gone")
        return look(*arguments)

    monkeypatch.setattr(log_follower, "_look", flaky)
    disk.add("one")
    async with followers.watching(home.pk) as follower:
        assert await Watch(follower, 10).until("one") == ["one"]


async def test_a_viewer_that_reads_nothing_costs_nothing_and_is_told(
    disk: Disk, home: Environment, followers: LogFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "LINES_MAX", 1000)
    monkeypatch.setattr(log_follower, "PACE_LIMIT_S", 0.05)
    async with followers.watching(home.pk) as follower:
        slow = Watch(follower, 0)
        disk.add("first")
        await slow.until("first")
        disk.add(*(f"line {number}" for number in range(5000)), "last")
        await eventually(lambda: follower.buffer.end == 5002)
        assert follower.buffer.end - follower.buffer.start == 1000
        shown = await slow.until("last")
        assert slow.missed + len(shown) == 5002
        assert shown[1:] == [*(f"line {number}" for number in range(4001, 5000)), "last"]


async def test_a_viewer_that_keeps_up_misses_nothing_of_a_flood(
    disk: Disk, home: Environment, followers: LogFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many more lines in one answer than are kept."""
    monkeypatch.setattr(log_follower, "LINES_MAX", 1000)
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 0)
        disk.add("first")
        await watch.until("first")
        disk.add(*map(str, range(20_000)))
        await watch.until("19999")
        assert watch.missed == 0
        assert watch.shown[1:] == list(map(str, range(20_000)))


async def test_large_answers_are_parsed_beside_the_event_loop(
    disk: Disk, home: Environment, followers: LogFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[int, threading.Thread] = {}
    take = log_follower.LogFiles.take

    def watched(self: Any, answer: str, **options: Any) -> Any:
        threads[len(answer)] = threading.current_thread()
        return take(self, answer, **options)

    monkeypatch.setattr(log_follower.LogFiles, "take", watched)
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 10)
        disk.add("small")
        await watch.until("small")
        disk.add("x" * 20_000, "large")
        await watch.until("large")
    loop = threading.current_thread()
    assert threads
    assert {size: thread is loop for size, thread in threads.items()} == {
        size: size <= log_follower.PARSED_AT_ONCE_CHARS for size in threads
    }
    assert max(threads) > log_follower.PARSED_AT_ONCE_CHARS


async def test_events_come_once_also_those_that_show_up_late(
    disk: Disk, home: Environment, followers: LogFollowers
) -> None:
    """A transaction that takes its time gives its event a smaller number than one that is in already."""

    @database_sync_to_async
    def add(number: int, kind: str) -> None:
        EnvironmentEvent.objects.create(pk=number, environment=home, kind=kind, phase="running")

    await add(1000, "first")
    async with followers.watching(home.pk) as follower:
        watch = Watch(follower, 1000)
        await watch.until("first")
        for number, kind in ((1010, "second"), (1005, "late"), (1011, "third")):
            await add(number, kind)
            follower.look()
            await watch.until(kind)
        assert watch.shown == ["first", "second", "late", "third"]


async def test_what_follows_can_be_left_at_any_time(disk: Disk, home: Environment, followers: LogFollowers) -> None:
    async with followers.watching(home.pk) as follower:
        async with aclosing(follower.follow(0)) as steps:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(steps)
        assert follower._following == 0
