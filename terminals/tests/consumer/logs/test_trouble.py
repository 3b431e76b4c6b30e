"""The logs' WebSocket, whatever happens: broken connections, slow clients, machines that hang, bugs of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from environments import log_follower
from environments.models import Environment
from environments.tests.sshd import Machine, Process, eventually
from terminals import log_consumer
from terminals.tests.consumer.logs.watching import LINES, nudge, texts, told, write
from terminals.tests.consumer.served import act

pytestmark = pytest.mark.django_db(transaction=True)


async def test_every_line_once_over_broken_connections(at: Any, box: Machine, disk: Path) -> None:
    async with at("lines=0") as socket:
        await socket.until_sent(type="installation_complete")
        for number in range(100):
            write(disk / "var/log/devpocket/install.log", f"2026-01-01T10:00:02Z [core_tools] line {number}\n")
            if number % 25 == 5:
                box.break_connections()
            await asyncio.sleep(0.005)
        await socket.until_sent(data="line 99")
        assert texts(socket) == [f"line {number}" for number in range(100)]


async def test_two_screens_are_one_reader(at: Any, box: Machine, disk: Path) -> None:
    async with at() as first, at() as second:
        for socket in (first, second):
            await socket.until_sent(type="installation_complete")
        assert len(log_consumer.followers) == 1
        write(disk / "var/log/devpocket/app.log", "both\n")
        for socket in (first, second):
            await socket.until_sent(message="both")
            assert texts(socket) == [*LINES, "both"]
        assert len(box.logins) == 1


async def test_a_client_that_reads_slowly_is_told_what_it_missed(
    at: Any, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "LINES_MAX", 1000)
    monkeypatch.setattr(log_follower, "PACE_LIMIT_S", 0.05)
    async with at() as slow:
        await slow.until_sent(type="installation_complete")
        slow.stall()
        write(disk / "var/log/devpocket/app.log", "".join(f"line {number}\n" for number in range(5000)))
        [follower] = log_consumer.followers._followers.values()
        await eventually(lambda: follower.buffer.end == 5004)
        slow.go_on()
        await slow.until_sent(message="line 4999")
        shown = texts(slow)[4:]
        [gap] = [text for text in shown if text.startswith("Left out: ")]
        missed = int(gap.split()[2].replace(",", ""))
        assert missed > 3000
        assert missed + len(shown) - 1 == 5000
        assert shown[-1000:] == [f"line {number}" for number in range(4000, 5000)]


async def test_only_pings_are_understood(at: Any) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        for frame in ({"type": "input", "data": "ls\r"}, {"type": "resize", "cols": 9, "rows": 9}, {"type": "x"}, {}):
            socket.sent.clear()
            socket.say(**frame)
            await socket.until_sent(type="error", code="unknown_type")
        socket.say_raw("no JSON")
        await socket.until_sent(type="error", code="invalid_message")
        socket.say(type="ping")
        await socket.until_sent(type="pong")


async def test_a_machine_that_hangs_delays_the_history_and_not_the_welcome(
    at: Any, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = box.serve
    answers = asyncio.Event()

    async def serve(process: Process) -> None:
        await answers.wait()
        await shell(process)

    box.serve = serve
    monkeypatch.setattr(log_follower, "FIRST_LIMIT_S", 0.3)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="ping")
        await socket.until_sent(type="pong")
        assert told(socket) == []
        await socket.until_sent(type="installation_complete")  # it isn't waited for any longer
        answers.set()
        await socket.until(lambda: texts(socket) == LINES)


async def test_a_bug_closes_with_1011_and_says_nothing(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_environment: object) -> str:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(log_consumer.log_frames, "welcome", broken)
    async with at() as socket:
        assert await socket.until_closed() == (1011, "internal error")
        assert [frame["code"] for frame in socket.sent] == ["internal_error"]
        assert "secret" not in str(socket.sent)


async def test_a_database_away_for_a_moment_ends_nothing(
    at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    look = log_consumer.LogsConsumer.look

    def flaky(self: Any) -> Any:
        if not failures:
            failures.append(1)
            raise OSError("gone")
        return look(self)

    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        monkeypatch.setattr(log_consumer.LogsConsumer, "look", flaky)
        await nudge(home)
        await eventually(lambda: bool(failures))
        await act(home, "stop")
        await socket.until_sent(type="status_update", status="stopping")
