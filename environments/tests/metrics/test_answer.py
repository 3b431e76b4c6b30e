"""GET /environments/{id}/metrics: what it promises, on machines that answer, hang and lie."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import SignIn
from environments import metrics, sample_cache
from environments.lifecycle import Phase
from environments.metrics import Collector
from environments.models import Environment, MetricSample
from environments.ssh import SSHUnavailable
from environments.tests.homes import home_of
from environments.tests.metrics.measuring import (
    ask,
    change,
    counted,
    read,
    sample,
    saying,
)
from environments.tests.sshd import Machine, Process, eventually, never

pytestmark = pytest.mark.django_db(transaction=True)

NUMBERS = "cpu_usage memory_usage disk_usage storage_usage network_in network_rx network_out network_tx uptime".split()

# --- The answer


async def test_a_machine_that_runs_is_measured(ann: SignIn, home: Environment) -> None:
    body = await read(ann, home)
    for name in ("cpu_usage", "memory_usage", "disk_usage", "storage_usage"):
        assert 0 <= body[name] <= 100
    assert body["disk_usage"] == body["storage_usage"]
    assert (body["network_in"], body["network_out"]) == (body["network_rx"], body["network_tx"])
    assert isinstance(body["uptime"], int)
    assert len(body["load_average"]) == 3
    assert (body["environment_id"], body["active_connections"], body["history"]) == (str(home.pk), 0, [])
    assert body["timestamp"] == body["last_updated"]
    assert body["timestamp"].endswith("Z")
    datetime.fromisoformat(body["timestamp"])


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.RUNNING, Phase.TERMINATED)])
async def test_in_any_other_phase_it_says_nothing(phase: Phase, ann: SignIn, home: Environment) -> None:
    await change(home, phase=phase)
    await database_sync_to_async(sample_cache.measured)(home.pk, sample())
    body = await read(ann, home)
    assert {body[name] for name in [*NUMBERS, "load_average"]} == {None}
    assert (body["active_connections"], body["history"]) == (0, [])
    assert datetime.fromisoformat(body["timestamp"]) - datetime.now(UTC) < timedelta(seconds=5)


async def test_an_answer_is_good_for_ten_seconds(ann: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    first, second = await read(ann, home), await read(ann, home)
    assert (first, len(commands)) == (second, 1)
    await database_sync_to_async(sample_cache.measured)(home.pk, sample(timezone.now() - timedelta(seconds=11)))
    assert (await read(ann, home))["timestamp"] > first["timestamp"]
    assert len(commands) == 2


async def test_many_at_once_ask_the_machine_once(ann: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    bodies = await asyncio.gather(*(read(ann, home) for _ in range(8)))
    assert len({body["timestamp"] for body in bodies}) == len(commands) == 1


async def test_two_processes_ask_the_machine_once(home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    first, second = await asyncio.gather(Collector().fresh(home), Collector().fresh(home))
    assert (first, len(commands)) == (second, 1)


async def test_when_another_process_gets_no_answer_nobody_waits_on(
    home: Environment, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, go = asyncio.get_running_loop(), asyncio.Event()
    is_being_measured = sample_cache.is_being_measured

    def seen(environment_id: uuid.UUID) -> bool:
        loop.call_soon_threadsafe(go.set)
        return is_being_measured(environment_id)

    async def serve(process: Process) -> None:
        await go.wait()
        await saying("nothing of use")(process)

    monkeypatch.setattr(sample_cache, "is_being_measured", seen)
    machine.serve, commands = counted(serve)
    outcomes = await asyncio.gather(Collector().fresh(home), Collector().fresh(home), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [SSHUnavailable] * 2
    assert len(commands) == 1


async def test_whoever_leaves_takes_nothing_from_the_others(home: Environment, machine: Machine) -> None:
    go = asyncio.Event()
    shell = machine.serve

    async def held(process: Process) -> None:
        await go.wait()
        await shell(process)

    machine.serve, commands = counted(held)
    collector = Collector()
    impatient, patient = (asyncio.create_task(collector.fresh(home)) for _ in range(2))
    await eventually(lambda: len(commands) == 1)
    impatient.cancel()
    go.set()
    assert (await patient).reading.is_usable
    assert len(commands) == 1


async def test_a_machine_that_hangs_gives_the_last_sample_within_five_seconds(
    ann: SignIn, home: Environment, machine: Machine
) -> None:
    at = timezone.now() - timedelta(minutes=3)
    await change(home, phase_changed_at=at)
    await database_sync_to_async(sample_cache.measured)(home.pk, sample(at, cpu=12.5))
    machine.serve = never
    began = time.monotonic()
    body = await read(ann, home)
    assert time.monotonic() - began < 5
    assert (body["cpu_usage"], datetime.fromisoformat(body["timestamp"])) == (12.5, at)


@pytest.mark.parametrize("way", ["no channel", "another host key", "garbage", "flood"])
async def test_trouble_gives_what_the_history_has_last(
    way: str, ann: SignIn, home: Environment, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "COMMAND_LIMIT_S", 0.5)
    at = timezone.now() - timedelta(minutes=3)
    await change(home, phase_changed_at=at)
    await database_sync_to_async(MetricSample.objects.create)(environment=home, at=at, cpu_usage=7.0, network_rx=5)
    if way == "no channel":
        machine.session_limit = 0
    elif way == "another host key":
        await change(home, host_public_key=machine.client_key.export_public_key().decode())
    else:
        machine.serve = saying("\0\xff cpu" if way == "garbage" else "y\n" * 300_000)
    body = await read(ann, home)
    assert (body["cpu_usage"], body["network_in"], body["uptime"]) == (7.0, 5, None)
    assert datetime.fromisoformat(body["timestamp"]) == at


async def test_what_was_before_the_last_start_is_not_shown(ann: SignIn, home: Environment, machine: Machine) -> None:
    await database_sync_to_async(sample_cache.measured)(home.pk, sample(home.phase_changed_at - timedelta(seconds=1)))
    machine.session_limit = 0
    assert (await read(ann, home))["cpu_usage"] is None


async def test_terminals_are_counted(ann: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve = saying("devpocket-reading\ncpu 1 0 0 9 0 0 0 0\nclient\nclient\n")
    assert (await read(ann, home))["active_connections"] == 2


# --- History


async def test_history_goes_back_as_far_as_asked(ann: SignIn, ben: SignIn, home: Environment) -> None:
    now = timezone.now()

    @database_sync_to_async
    def fill() -> None:
        other = home_of(ben.user)
        for hours in (0.5, 1.5, 30):
            at = now - timedelta(hours=hours)
            MetricSample.objects.create(environment=home, at=at, cpu_usage=hours, memory_usage=1, network_rx=2**40)
            MetricSample.objects.create(environment=other, at=at, cpu_usage=99)

    await fill()
    assert [entry["cpu_usage"] for entry in (await read(ann, home, "?hours=1"))["history"]] == [0.5]
    assert [entry["cpu_usage"] for entry in (await read(ann, home, "?hours=168"))["history"]] == [30, 1.5, 0.5]
    [entry] = (await read(ann, home, "?hours=1"))["history"]
    assert datetime.fromisoformat(entry.pop("timestamp")) == now - timedelta(hours=0.5)
    assert entry == {
        "cpu_usage": 0.5,
        "memory_usage": 1,
        "storage_usage": None,
        "network_rx": 2**40,
        "network_tx": None,
    }


async def test_history_is_there_in_every_phase(ann: SignIn, home: Environment) -> None:
    await change(home, phase=Phase.STOPPED)
    await database_sync_to_async(MetricSample.objects.create)(environment=home, cpu_usage=3)
    body = await read(ann, home, "?hours=24")
    assert (body["cpu_usage"], len(body["history"])) == (None, 1)


@pytest.mark.parametrize(
    ("hours", "code"),
    [
        ("169", "max_value"),
        ("-1", "min_value"),
        ("x", "invalid"),
        ("", "invalid"),
        ("1.5", "invalid"),
        ("1.0", "invalid"),
        ("1e1", "invalid"),
        ("1_0", "invalid"),
        ("%2B1", "invalid"),
        (" 1", "invalid"),
        ("true", "invalid"),
        ("null", "invalid"),
        ("\u0661", "invalid"),  # a digit, but not one of ours
        ("1" * 19, "invalid"),
        ("1" * 18, "max_value"),
    ],
)
async def test_hours_out_of_range_are_refused(hours: str, code: str, ann: SignIn, home: Environment) -> None:
    answer = await ask(ann, home.pk, f"?hours={hours}")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("hours", code)


async def test_no_hours_are_no_history(ann: SignIn, home: Environment) -> None:
    await change(home, phase=Phase.STOPPED)
    await database_sync_to_async(MetricSample.objects.create)(environment=home, cpu_usage=3)
    for query in ("", "?hours=0", "?hours=00"):
        assert (await read(ann, home, query))["history"] == []


# --- Who may ask


async def test_only_its_owner_may_ask(ann: SignIn, ben: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    assert (await ask(None, home.pk)).status_code == 401
    assert (await ask(ben, home.pk)).status_code == 404
    assert (await ask(ann, uuid.uuid4())).status_code == 404
    assert (await ask(ann, "no-id")).status_code == 404
    assert (await ask(ben, home.pk, method="options")).status_code == 404
    for environment_id in (home.pk, uuid.uuid4(), "no-id"):  # whatever else is wrong
        assert (await ask(ben, environment_id, "?hours=999")).status_code == 404
    await change(home, phase=Phase.TERMINATED)
    assert (await ask(ann, home.pk)).status_code == 404
    assert (await ask(ann, home.pk, "?hours=999")).status_code == 404
    assert commands == []


async def test_with_and_without_a_slash_and_read_only(ann: SignIn, home: Environment) -> None:
    await change(home, phase=Phase.STOPPED)
    assert (await ask(ann, f"{home.pk}")).status_code == 200
    assert (await ask(ann, home.pk, "/")).status_code == 200
    assert (await ask(ann, home.pk, method="head")).status_code == 200
    assert (await ask(ann, home.pk, method="post")).status_code == 405


def test_it_also_answers_from_a_plain_test_client(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> None:
    home = home_of(ann.user, phase=Phase.STOPPED)
    assert client_of(ann).get(f"/api/v1/environments/{home.pk}/metrics").status_code == 200
