"""The sampler: every running machine once a period, whatever others do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.db.models import TextField, Value
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.services import SignIn
from environments import sample_history, sample_turns, sampler, samples
from environments.lifecycle import Phase
from environments.metrics import Collector
from environments.models import Environment, MetricSample
from environments.tests.conftest import Until
from environments.tests.homes import home_of
from environments.tests.metrics.measuring import (
    change,
    counted,
    read,
    row_of,
    sample,
    samples_of,
    sampling,
    saying,
)
from environments.tests.sshd import USER, Machine, Process, never

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_waiting_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "OTHERS_WAIT_S", 0.0)


@database_sync_to_async
def is_put_off(home: Environment) -> bool:
    """Its next turn is farther away than a period and a half."""
    due_at = Environment.objects.get(pk=home.pk).sample_due_at
    return due_at is not None and due_at > timezone.now() + timedelta(seconds=91)


async def until_sampled(home: Environment, count: int = 1) -> list[MetricSample]:
    async with asyncio.timeout(10):
        while len(found := await samples_of(home)) < count:  # noqa: ASYNC110 -- a database's row
            await asyncio.sleep(0.02)
    return found


async def test_a_running_machine_is_sampled_and_its_row_says_so(home: Environment) -> None:
    before = await row_of(home)
    await change(home, sample_due_at=timezone.now())
    async with sampling():
        [found] = await until_sampled(home)
    row = await row_of(home)
    assert found.cpu_usage is not None
    assert (row.cpu_percent, row.memory_percent, row.storage_percent) == (
        found.cpu_usage,
        found.memory_usage,
        found.storage_usage,
    )
    assert row.sample_due_at is not None
    assert timedelta(seconds=25) < row.sample_due_at - timezone.now() < timedelta(seconds=95)
    # Nothing that a client or the provisioner looks for has changed.
    for column in ("updated_at", "phase", "phase_changed_at", "next_step_at", "last_activity_at", "progress"):
        assert getattr(row, column) == getattr(before, column)


async def test_it_goes_on_period_after_period(home: Environment) -> None:
    await change(home, sample_due_at=timezone.now())
    async with sampling(period_s=0.2, collector=Collector(fresh=timedelta(0))):
        found = await until_sampled(home, 4)
    times = [one.at for one in found]
    assert times == sorted(set(times))


async def test_processes_share_the_machines(ann: SignIn, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)

    @database_sync_to_async
    def make() -> list[Environment]:
        return [home_of(ann.user, machine, name=f"Home {n}", sample_due_at=timezone.now()) for n in range(24)]

    homes = await make()
    async with sampling(collector=Collector()), sampling(collector=Collector()), sampling(collector=Collector()):
        for home in homes:
            await until_sampled(home)
    assert [len(await samples_of(home)) for home in homes] == [1] * 24
    assert len(commands) == 24


async def test_a_few_commands_at_a_time(ann: SignIn, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "PARALLEL", 3)
    most = 0

    async def serve(process: Process) -> None:
        nonlocal most
        most = max(most, machine.open_channels)
        await saying("devpocket-reading\ncpu 1 0 0 9 0 0 0 0\n")(process)

    machine.serve = serve

    @database_sync_to_async
    def make() -> list[Environment]:
        return [home_of(ann.user, machine, name=f"Home {n}", sample_due_at=timezone.now()) for n in range(12)]

    async with sampling():
        for home in await make():
            await until_sampled(home)
    assert 1 <= most <= 3


async def test_a_machine_belongs_to_whoever_is_connected_to_it(home: Environment) -> None:
    now = timezone.now()
    await change(home, sample_due_at=now)
    claim = database_sync_to_async(sample_turns.samples_claim)
    assert await claim(limit=5, own=(), wait_s=60, period_s=60) == []
    assert [row.pk for row in await claim(limit=5, own={home.pk}, wait_s=60, period_s=60)] == [home.pk]
    assert await claim(limit=5, own={home.pk}, wait_s=0, period_s=60) == []
    await change(home, sample_due_at=now - timedelta(seconds=61))
    assert [row.pk for row in await claim(limit=5, own=(), wait_s=60, period_s=60)] == [home.pk]


async def test_a_silent_machine_holds_up_no_other_and_is_asked_less_often(
    ann: SignIn, home: Environment, machine: Machine
) -> None:
    async with Machine.start(beside=machine) as silent:
        silent.serve = never
        await change(home, sample_due_at=timezone.now())
        lost = await database_sync_to_async(home_of)(
            ann.user,
            name="Lost",
            droplet_ip=silent.host,
            host_public_key=silent.host_key.export_public_key().decode(),
            sample_due_at=timezone.now() - timedelta(seconds=1),
        )
        async with sampling():
            await until_sampled(home)
            assert not await is_put_off(lost)  # its answer is still waited for
            async with asyncio.timeout(10):
                while not await is_put_off(lost):  # noqa: ASYNC110 -- a database's row
                    await asyncio.sleep(0.02)
        assert silent.logins == [USER]  # it was asked, and by nobody twice at once
        assert await samples_of(lost) == []
        assert (await row_of(lost)).cpu_percent is None


async def test_a_sample_needs_no_secret_of_the_row(home: Environment) -> None:
    unreadable = Value("no key opens this", output_field=TextField())
    await change(home, sample_due_at=timezone.now(), environment_variables=unreadable, host_private_key=unreadable)
    async with sampling():
        [found] = await until_sampled(home)
    assert found.cpu_usage is not None


async def test_a_machine_that_stopped_meanwhile_gets_no_sample(home: Environment) -> None:
    await change(home, phase=Phase.STOPPING)
    assert not await database_sync_to_async(samples.sample_store)(home, sample())
    await change(home, phase=Phase.RUNNING, phase_changed_at=timezone.now())  # and started again
    assert not await database_sync_to_async(samples.sample_store)(home, sample())
    assert await samples_of(home) == []


async def test_only_running_machines_are_due(home: Environment) -> None:
    await change(home, phase=Phase.STOPPED, sample_due_at=timezone.now())
    assert await database_sync_to_async(sample_turns.samples_claim)(limit=5, own={home.pk}, wait_s=0, period_s=60) == []


@pytest.mark.parametrize(
    ("cpu", "output_age_s", "busy_ago_s"),
    [(5.0, None, None), (10.1, None, 0), (5.0, 7, 7), (10.1, 7, 0), (5.0, 10**17, 7 * 86400)],
)
async def test_cpu_and_output_make_a_machine_busy(
    cpu: float, output_age_s: int | None, busy_ago_s: int | None, home: Environment
) -> None:
    taken = sample(cpu=cpu, output_age_s=output_age_s)
    assert await database_sync_to_async(samples.sample_store)(home, taken)
    expected = None if busy_ago_s is None else taken.at - timedelta(seconds=busy_ago_s)
    assert (await row_of(home)).busy_at == expected


async def test_older_output_does_not_make_it_less_busy(home: Environment) -> None:
    busy = timezone.now() - timedelta(seconds=5)
    await change(home, busy_at=busy)
    await database_sync_to_async(samples.sample_store)(await row_of(home), sample(output_age_s=600))
    assert (await row_of(home)).busy_at == busy


async def test_after_seven_days_samples_go(home: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_history, "PRUNE_BATCH", 2)
    now = timezone.now()

    @database_sync_to_async
    def fill() -> None:
        for days in (0, 6.9, 7.1, 8, 9, 10, 11):
            MetricSample.objects.create(environment=home, at=now - timedelta(days=days))

    await fill()
    async with sampling():
        async with asyncio.timeout(5):
            while len(found := await samples_of(home)) > 2:  # noqa: ASYNC110 -- a database's row
                await asyncio.sleep(0.02)
    assert [now - one.at for one in found] == [timedelta(days=6.9), timedelta(0)]
    assert not await database_sync_to_async(sample_history.prune_is_due)()  # somebody has done it in this hour


async def test_without_a_period_nothing_is_sampled(home: Environment, settings: Any) -> None:
    settings.METRICS_SECONDS = 0
    before = asyncio.all_tasks()
    async with sampler.lifespan():
        assert asyncio.all_tasks() == before


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.uuids(), st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1)))
def test_turns_come_once_a_period_at_the_machines_own_second(environment_id: uuid.UUID, now: datetime) -> None:
    turn = sample_turns.next_turn(environment_id, now, period_s=60)
    assert timedelta(seconds=29.9) < turn - now < timedelta(seconds=90.1)
    again = sample_turns.next_turn(environment_id, turn, period_s=60)
    assert abs((again - turn).total_seconds() - 60) < 0.001


def test_turns_are_spread_over_the_period() -> None:
    turns = [sample_turns.next_turn(uuid.uuid4(), NOW, period_s=60).second for _ in range(2000)]
    assert len(set(turns)) == 60
    assert max(turns.count(second) for second in range(60)) < 80


async def test_the_cache_may_be_emptied(ann: SignIn, home: Environment) -> None:
    await read(ann, home)
    await database_sync_to_async(cache.clear)()
    assert (await read(ann, home))["uptime"] is not None


# --- On the local cloud


@pytest.mark.usefixtures("provisioning")
async def test_a_real_machine_gives_plausible_numbers(
    ann: SignIn, create: Callable[..., Environment], until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(ann), lambda row: row.phase == Phase.RUNNING)
    assert row.sample_due_at is not None
    async with sampling():
        await until_sampled(row)
    body = await read(ann, row, "?hours=1")
    assert 0 <= body["cpu_usage"] <= 100
    assert 0 < body["memory_usage"] < 100
    assert 0 < body["storage_usage"] <= 100
    assert body["uptime"] > 0
    assert len(body["history"]) == 1
