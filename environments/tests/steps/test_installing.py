"""The set-up of a machine: when people are let in, and what is told of the rest. On a machine of the test's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from environments.cloud_init import PROGRESS_FILE
from environments.lifecycle import SET_UP_LIMIT_S, Phase, TerminalWhen
from environments.models import Environment
from environments.steps import installing, up
from environments.tests.homes import home_of
from environments.tests.life import change
from environments.tests.sshd import Machine, Process
from environments.tests.stepping import Disk, kinds, look

pytestmark = pytest.mark.django_db(transaction=True)

FAILED = "failed completion Not installed: docker"


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    """It has just begun to run, and half of its tools are there."""
    return home_of(ann.user, machine, installation_completed=False, phase_changed_at=timezone.now(), progress=100)


async def begin(home: Environment, when: TerminalWhen) -> None:
    """The machine has just booted for the first time."""
    await change(home, phase=Phase.INSTALLING, terminal_when=when, progress=20, phase_changed_at=timezone.now())


# --- Before people are let in


@pytest.mark.parametrize("when", TerminalWhen)
async def test_people_are_let_in_when_the_template_says(when: TerminalWhen, home: Environment, disk: Disk) -> None:
    await begin(home, when)
    seen: list[tuple[int, str, int]] = []
    lines = ["0 system_setup Preparing the system", "20 user_setup Setting up your account"]
    for line in [*lines, "30 core_tools Installing core tools", "60 development_tools Installing tools"]:
        disk.tells(line)
        row, _ = await look(home)
        if row.phase != Phase.INSTALLING:
            break
        seen.append((row.progress, row.status_message, row.install_percent))
    if when == TerminalWhen.SSH:
        assert seen == [(20, "Preparing the system", 0), (59, "Setting up your account", 20)]
        assert row.phase == Phase.CONFIGURING
        row, _ = await look(home)
        assert (row.phase, row.progress, row.installation_completed) == (Phase.RUNNING, 100, False)
        assert row.status_message == "Installing core tools (30 %)"
    else:
        assert [progress for progress, _, _ in seen] == [20, 31, 37, 55]
        disk.tells("100 completion Set-up complete")
        await look(home)
        row, _ = await look(home)
        assert (row.phase, row.progress, row.installation_completed) == (Phase.RUNNING, 100, True)
        assert (row.status_message, row.install_percent) == ("Ready", 100)


@pytest.mark.parametrize("when", TerminalWhen)
async def test_a_step_that_fails_is_no_end_but_a_set_up_that_does_is(
    when: TerminalWhen, home: Environment, disk: Disk
) -> None:
    await begin(home, when)
    disk.tells("20 user_setup Setting up your account", "failed user_setup Setting up your account: this did not work")
    row, next_look = await look(home)
    assert (row.phase, row.status_message) == (
        Phase.INSTALLING,
        "Setting up your account: this did not work",
    )
    assert next_look is not None
    disk.tells("failed completion Not installed: user, core")
    row, _ = await look(home)
    assert (row.phase, row.error_code) == (Phase.ERROR, "installing_failed")
    assert row.error_message == "The set-up failed: Not installed: user, core"


async def test_what_fails_after_people_may_be_let_in_keeps_nobody_out(home: Environment, disk: Disk) -> None:
    await begin(home, TerminalWhen.SSH)
    disk.tells("30 core_tools Installing core tools", FAILED)
    for _ in range(2):
        row, _ = await look(home)
    assert (row.phase, row.installation_completed) == (Phase.RUNNING, False)


async def test_a_set_up_that_must_be_complete_ends_where_something_is_missing(home: Environment, disk: Disk) -> None:
    await begin(home, TerminalWhen.COMPLETE)
    disk.tells("30 core_tools Installing core tools", FAILED)
    row, _ = await look(home)
    assert (row.phase, row.error_code) == (Phase.ERROR, "installing_failed")


async def test_what_the_users_shell_prints_when_it_starts_is_no_answer(
    home: Environment, disk: Disk, machine: Machine
) -> None:
    serve = machine.serve

    async def chatty(process: Process) -> None:
        process.stdout.write(b"Welcome back!\n")
        await serve(process)

    machine.serve = chatty
    await begin(home, TerminalWhen.SSH)
    disk.tells("30 core_tools Installing core tools")
    for _ in range(2):
        row, _ = await look(home)
    assert row.phase == Phase.RUNNING


# --- Behind them


async def test_the_rest_is_followed_until_it_is_complete(home: Environment, disk: Disk) -> None:
    for line in ("60 development_tools Installing development tools", "80 configuration Configuring (1 of 2)"):
        disk.tells(line)
        row, next_look = await look(home)
        assert next_look is not None
        assert installing.FOLLOW_FIRST_S <= next_look <= installing.FOLLOW_MAX_S
    assert row.status_message == "Configuring (1 of 2) (80 %)"
    assert (row.install_percent, row.install_phase) == (80, "configuration")
    assert (row.phase, row.progress, row.installation_completed) == (Phase.RUNNING, 100, False)
    disk.tells("100 completion Set-up complete")
    for _ in range(2):
        row, next_look = await look(home)
        assert next_look is None
        assert (row.installation_completed, row.status_message, row.install_error) == (True, "Ready", "")
    assert await kinds(home) == ["installation_completed"]


async def test_it_is_looked_at_more_rarely_as_time_goes_by(home: Environment, disk: Disk) -> None:
    disk.tells("60 development_tools Installing development tools")
    pauses = []
    for minutes in (0, 2, 5, 60):
        await change(home, phase_changed_at=timezone.now() - timedelta(minutes=minutes))
        pauses.append(round((await look(home))[1] or 0))
    assert pauses == [3, 6, 15, 30]


async def test_what_is_missing_in_the_end_is_told_once_and_the_machine_stays_usable(
    home: Environment, disk: Disk
) -> None:
    disk.tells(
        "66 development_tools Installing Docker", "failed development_tools Installing Docker: this did not work"
    )
    row, next_look = await look(home)
    assert next_look is not None
    assert row.status_message == "Installing Docker: this did not work (66 %)"
    await change(home, phase_changed_at=timezone.now() - timedelta(seconds=2))
    disk.tells(FAILED)
    for _ in range(2):
        row, next_look = await look(home)
        assert next_look is None
        assert (row.phase, row.installation_completed) == (Phase.RUNNING, False)
        assert row.install_error == row.status_message == "The set-up isn't complete: Not installed: docker"
        assert (row.install_percent, row.install_message) == (66, "Not installed: docker")
    assert await kinds(home) == ["installation_failed"]


async def test_after_a_restart_it_is_looked_at_again_and_may_be_complete(home: Environment, disk: Disk) -> None:
    disk.tells("66 development_tools Installing Docker", FAILED)
    error = "The set-up isn't complete: Not installed: docker"
    await change(home, phase=Phase.STARTING, install_error=error)
    row, _ = await look(home, up.run_when_login_works)
    assert (row.phase, row.install_error, row.installation_completed) == (Phase.RUNNING, "", False)
    await change(home, phase_changed_at=timezone.now() + timedelta(seconds=2))  # the failure is of before
    row, next_look = await look(home)
    assert next_look is not None
    assert (row.install_error, row.is_being_set_up) == ("", True)
    disk.tells("74 development_tools Installing Docker", "100 completion Set-up complete")
    row, _ = await look(home)
    assert (row.installation_completed, row.install_error) == (True, "")


async def test_a_failure_of_before_that_nothing_follows_is_believed_in_the_end(home: Environment, disk: Disk) -> None:
    disk.tells("66 development_tools Installing Docker", FAILED)
    past = timezone.now() - timedelta(seconds=installing.SETTLE_S + 1)
    disk.at(PROGRESS_FILE).write_text(disk.at(PROGRESS_FILE).read_text().replace("202", "201"))  # ten years ago
    await change(home, phase_changed_at=past)
    row, next_look = await look(home)
    assert (row.install_error != "", next_look) == (True, None)


async def test_a_set_up_that_was_completed_while_it_was_off_is_so_from_the_first_moment(
    home: Environment, disk: Disk
) -> None:
    disk.tells("100 completion Set-up complete")
    await change(home, phase=Phase.STARTING)
    row, _ = await look(home, up.run_when_login_works)
    assert (row.phase, row.installation_completed, row.status_message) == (Phase.RUNNING, True, "Ready")


@pytest.mark.parametrize("scale", [1.0, 0.25])
async def test_it_is_not_followed_for_ever(scale: float, home: Environment, disk: Disk, settings: Any) -> None:
    settings.DEADLINE_SCALE = scale
    disk.tells("66 development_tools Installing Docker")
    limit = timedelta(seconds=SET_UP_LIMIT_S * scale)
    await change(home, phase_changed_at=timezone.now() - limit + timedelta(seconds=30))
    row, next_look = await look(home)
    assert (row.install_error, next_look is None) == ("", False)
    await change(home, phase_changed_at=timezone.now() - limit - timedelta(seconds=1))
    row, next_look = await look(home)
    assert "takes too long" in row.install_error
    assert (row.phase, next_look, row.install_percent) == (Phase.RUNNING, None, 66)
    assert await kinds(home) == ["installation_failed"]


async def test_a_machine_that_falls_silent_is_asked_again_and_then_no_more(
    home: Environment, disk: Disk, machine: Machine
) -> None:
    disk.tells("66 development_tools Installing Docker")
    await look(home)
    await change(home, droplet_ip="127.0.0.250")  # where nobody is
    row, next_look = await look(home)
    assert (row.status_message, next_look) == ("Installing Docker (66 %)", installing.FOLLOW_MAX_S)
    await change(home, phase_changed_at=timezone.now() - timedelta(seconds=SET_UP_LIMIT_S + 1))
    row, next_look = await look(home)
    assert "doesn't answer" in row.install_error
    assert (row.phase, row.install_percent, next_look) == (Phase.RUNNING, 66, None)


async def test_looking_at_what_is_as_it_was_writes_nothing(home: Environment, disk: Disk) -> None:
    disk.tells("66 development_tools Installing Docker")
    before, _ = await look(home)
    after, _ = await look(home)
    assert after.updated_at == before.updated_at
    assert await database_sync_to_async(home.events.count)() == 0
