"""A set-up, as the logs' WebSocket tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from environments.lifecycle import Phase
from environments.models import Environment
from environments.tests.homes import run_once
from environments.tests.sshd import Machine, Process
from terminals.tests.consumer.logs.watching import INSTALLED, LINES, nudge, texts, told, write
from terminals.tests.consumer.served import change

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_set_up_from_its_first_second(at: Any, home: Environment, box: Machine, disk: Path) -> None:
    for name, _ in INSTALLED:
        (disk / name).unlink()
    box.session_limit = 0  # sshd doesn't answer yet
    await change(home, phase=Phase.PROVISIONING, droplet_id=1, installation_completed=False, status_message="Making")
    async with at() as socket:
        status = await socket.until_sent(type="installation_status")
        assert (status["status"], status["message"], status["progress"]) == ("provisioning", "Making", 0)
        await socket.until_sent(type="status_update", status="provisioning", compat_status="creating")
        await change(home, phase=Phase.INSTALLING)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="installing")
        box.session_limit = None
        for name, text in INSTALLED[:3]:
            write(disk / name, text)
        await socket.until_sent(data="Reading package lists")
        # The row is a little behind what was read, and the progress doesn't fall for it.
        await change(home, install_percent=20, install_phase="user_setup", status_message="Account (20 %)")
        await nudge(home)
        assert (await socket.until_sent(type="installation_status", message="Account (20 %)"))["progress"] == 30
        box.break_connections()
        write(disk / "var/lib/devpocket/progress", "2026-01-01T10:00:04Z 100 completion Set-up complete\n")
        await socket.until_sent(progress=100)
        await change(home, phase=Phase.CONFIGURING, install_percent=100, installation_completed=True)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="configuring")
        await change(home, phase=Phase.RUNNING)
        for _ in range(3):
            await nudge(home)
            await socket.until_sent(type="installation_complete")
        await socket.until_sent(type="status_update", status="running")
        assert len(told(socket, "installation_complete")) == 1
        assert sorted(texts(socket)) == sorted([*LINES[:3], "Set-up complete (completion, 100 %)"])
        shown = [frame["progress"] for frame in socket.sent if "progress" in frame and frame["type"] != "status_update"]
        assert shown == sorted(shown)


async def test_the_end_of_a_set_up_is_told_after_its_last_lines(
    at: Any, home: Environment, box: Machine, disk: Path
) -> None:
    """The row may know of it before the machine is looked at again."""
    answers = asyncio.Event()
    answers.set()

    async def when_it_may(process: Process) -> None:
        await answers.wait()
        await run_once(disk, process)

    box.serve = when_it_may
    await change(home, installation_completed=False, install_percent=30)
    async with at() as socket:
        await socket.until_sent(type="installation_status")
        answers.clear()
        write(disk / "var/log/devpocket/install.log", "2026-01-01T10:00:05Z [completion] the very last\n")
        write(disk / "var/lib/devpocket/progress", "2026-01-01T10:00:06Z 100 completion Set-up complete\n")
        await change(home, installation_completed=True, install_percent=100)
        await nudge(home)
        await asyncio.sleep(0.3)
        assert not told(socket, "installation_complete")
        answers.set()
        await socket.until_sent(type="installation_complete")
        assert texts(socket)[-2:] == ["the very last", "Set-up complete (completion, 100 %)"]


async def test_a_set_up_that_fails(at: Any, home: Environment) -> None:
    await change(home, phase=Phase.INSTALLING, installation_completed=False)
    async with at() as socket:
        await socket.until_sent(type="installation_status", status="installing")
        await change(home, phase=Phase.ERROR, error_code="installing_failed", error_message="The set-up failed: x")
        for _ in range(3):
            await nudge(home)
            await socket.until_sent(type="installation_error")
        await socket.until_sent(type="status_update", status="error")
        [failed] = told(socket, "installation_error")
        assert (failed["code"], failed["error"]) == ("installing_failed", "The set-up failed: x")
        assert socket.code is None  # its logs are there to be read


async def test_a_machine_that_is_replaced_is_read_anew(at: Any, home: Environment, box: Machine) -> None:
    await change(home, droplet_id=1)
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await change(home, phase=Phase.CREATING, droplet_id=None, installation_completed=False)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="creating")
        await change(home, phase=Phase.INSTALLING, droplet_id=2)
        await nudge(home)
        await socket.until(lambda: texts(socket)[4:] == LINES)
        assert [line["progress"] for line in told(socket)[4:7]] == [0, 30, 30]
