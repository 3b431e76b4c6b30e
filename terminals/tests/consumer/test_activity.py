"""A terminal that is open or used keeps its machine from being stopped, and hears when it is about to be."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from environments.idle import idle_settle
from environments.models import Environment
from environments.tests.sshd import Machine, Process, never
from terminals import environment_socket, slots, sockets
from terminals.tests.consumer.served import change

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(hours=3)


@pytest.fixture
def limited(settings: Any) -> None:
    settings.PLANS = {plan: {**limits, "idle_stop_minutes": 60} for plan, limits in settings.PLANS.items()}


@database_sync_to_async
def last_activity(home: Environment) -> datetime | None:
    return Environment.objects.get(pk=home.pk).last_activity_at


async def until_active(home: Environment, since: datetime | None) -> datetime:
    async with asyncio.timeout(5):
        while (seen := await last_activity(home)) is None or (since is not None and seen <= since):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return seen


async def test_input_is_recorded_at_once(
    at: Any,
    home: Environment,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment_socket, "ACTIVITY_EVERY_S", 0.0)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        before = await until_active(home, None)
        socket.say(type="input", data="x")
        await until_active(home, before)


async def test_a_terminal_that_is_only_open_counts(
    at: Any,
    home: Environment,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine.serve = never  # no output
    monkeypatch.setattr(environment_socket, "ACTIVITY_EVERY_S", 0.05)
    monkeypatch.setattr(slots, "RENEW_S", 0.05)
    async with at():
        first = await until_active(home, None)
        await until_active(home, first)


async def test_a_flood_is_recorded_once_a_minute(
    at: Any,
    home: Environment,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = []
    monkeypatch.setattr(environment_socket, "activity_record", lambda environment_id: recorded.append(environment_id))

    async def serve(process: Process) -> None:
        for number in range(200):
            process.stdout.write(f"line {number}\r\n".encode())
            await process.stdout.drain()
        process.stdout.write(b"done")
        await process.stdin.read()

    machine.serve = serve
    async with at() as socket:
        await socket.until(lambda: "done" in socket.text)
        for _ in range(20):
            socket.say(type="input", data="x")
    assert recorded == [home.pk]


async def test_what_one_socket_records_does_for_the_others(at: Any, home: Environment) -> None:
    async with at() as first:
        await first.until_sent(type="welcome")
        before = await until_active(home, None)
        async with at() as second:
            await second.until_sent(type="welcome")
            assert await last_activity(home) == before
            await change(home, last_activity_at=timezone.now() - LONG_AGO)
            async with at() as third:
                await third.until_sent(type="welcome")
                await until_active(home, before)


async def test_an_open_socket_hears_of_the_stop(
    at: Any,
    home: Environment,
    machine: Machine,
    limited: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One whose terminal isn't attached, for the machine doesn't answer: an attached one keeps the machine up."""
    machine.may_open.clear()
    monkeypatch.setattr(sockets, "WELCOME_LIMIT_S", 0.05)
    try:
        async with at() as socket:
            await socket.until_sent(type="welcome")
            await change(home, phase_changed_at=timezone.now() - LONG_AGO, last_activity_at=timezone.now() - LONG_AGO)
            await database_sync_to_async(idle_settle)(home.pk)
            frame = await socket.until_sent(type="info", code="idle_warning")
            told = datetime.fromisoformat(frame["stops_at"])
            assert timedelta(minutes=9) < told - timezone.now() < timedelta(minutes=11)
            assert frame["stops_at"].endswith("Z")
            assert "Home will be stopped at" in frame["message"]
            machine.may_open.set()
            await socket.until_sent(type="info", code="reattached")
        assert [frame.get("code") for frame in socket.sent].count("idle_warning") == 1
    finally:
        machine.may_open.set()


async def test_an_attached_terminal_keeps_the_machine_up(
    at: Any,
    home: Environment,
    machine: Machine,
    limited: None,
) -> None:
    await change(
        home, phase_changed_at=timezone.now() - LONG_AGO, idle_warned_at=timezone.now() - timedelta(minutes=11)
    )
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await until_active(home, None)
        await database_sync_to_async(idle_settle)(home.pk)
        row = await database_sync_to_async(Environment.objects.get)(pk=home.pk)
        assert (row.phase, row.idle_warned_at) == ("running", None)
