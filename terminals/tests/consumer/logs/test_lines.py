"""Which lines the logs' WebSocket tells, and in which order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async

from environments.models import Environment
from environments.records import event_record
from environments.tests.sshd import Machine
from terminals.tests.consumer.logs.watching import LINES, nudge, texts, write
from terminals.tests.consumer.served import change

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_welcome_history_complete_and_then_what_comes(at: Any, home: Environment, disk: Path, slash: str) -> None:
    async with at(slash=slash) as socket:
        await socket.until_sent(type="installation_complete")
        welcome, *lines, complete = socket.sent
        assert {key: value for key, value in welcome["environment"].items() if key != "id"} == {
            "name": "Home",
            "template": "ubuntu",
            "status": "running",
            "phase": "running",
        }
        assert (welcome["type"], welcome["environment"]["id"]) == ("welcome", str(home.pk))
        assert [(line["type"], line["source"]) for line in lines] == [
            ("installation_log", "cloud-init"),
            ("installation_log", "devpocket"),
            ("installation_log", "install"),
            ("log", "application"),
        ]
        assert texts(socket) == LINES
        assert [(line["phase"], line["progress"]) for line in lines[:3]] == [
            ("system_setup", 0),
            ("core_tools", 30),
            ("core_tools", 30),
        ]
        assert (lines[2]["timestamp"], lines[3]["level"]) == ("2026-01-01T10:00:02Z", "WARN")
        assert (complete["environment_id"], complete["status"]) == (str(home.pk), "running")
        write(disk / "var/log/devpocket/app.log", "next\n")
        await socket.until_sent(type="log", message="next")
        assert texts(socket) == [*LINES, "next"]
        socket.say(type="ping")
        await socket.until_sent(type="pong")


async def test_without_following_it_ends_with_the_history(at: Any, home: Environment) -> None:
    async with at("follow=false") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert texts(socket) == LINES
        assert socket.types[-1] == "installation_complete"
        await socket.until_ended()


async def test_without_following_and_with_nothing_to_tell(at: Any, home: Environment, box: Machine) -> None:
    box.session_limit = 0
    await change(home, installation_completed=False, install_error="The set-up isn't complete: x")
    async with at("follow=false&lines=0") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert socket.types == ["welcome", "installation_status", "installation_error"]


@pytest.mark.parametrize(
    ("query", "count"),
    [("lines=2", 2), ("lines=0", 0), ("lines=-7", 0), ("lines=99999", 4), ("lines=many", 4), ("lines=", 4), ("", 4)],
)
async def test_as_much_history_as_is_wanted(at: Any, query: str, count: int) -> None:
    async with at(f"follow=false&{query}") as socket:
        await socket.until_closed()
        assert texts(socket) == LINES[len(LINES) - count :]


async def test_no_line_twice_or_lost_between_history_and_what_comes(at: Any, disk: Path) -> None:
    """While lines are being written all the time."""
    app = disk / "var/log/devpocket/app.log"

    async def log() -> None:
        for number in range(400):
            write(app, f"line {number}\n")
            await asyncio.sleep(0.003)

    async with AsyncExitStack() as stack:
        writing = asyncio.create_task(log())
        sockets = []
        for _ in range(6):
            sockets.append(await stack.enter_async_context(at("lines=1000")))
            await asyncio.sleep(0.1)
        assert not writing.done()
        await writing
        for socket in sockets:
            await socket.until_sent(message="line 399")
            assert texts(socket) == [*LINES, *(f"line {number}" for number in range(400))]


async def test_events_of_the_environment_are_told(at: Any, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await database_sync_to_async(event_record)(home, kind="restart_requested")
        await nudge(home)
        line = await socket.until_sent(type="log", message="restart_requested")
        assert (line["source"], line["level"]) == ("devpocket", "INFO")
