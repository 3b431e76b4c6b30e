"""GET /environments/{id}/metrics and the sampler: what they promise, on machines that answer, hang and lie."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.test import AsyncClient
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tasks import TaskOwner
from environments import connections, metrics, sampler, samples
from environments.lifecycle import Phase
from environments.metrics import Collector
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading
from environments.sampler import Sampler
from environments.samples import Sample
from environments.ssh import SSHUnavailable
from environments.tests.conftest import Until
from environments.tests.homes import home_of, shell_in
from environments.tests.sshd import Machine, Process, eventually, never

pytestmark = pytest.mark.django_db(transaction=True)

NUMBERS = "cpu_usage memory_usage disk_usage storage_usage network_in network_rx network_out network_tx uptime".split()
Served = Callable[[Process], Awaitable[None]]


def counted(serve: Served) -> tuple[Served, list[str]]:
    """The same, and the commands that were run."""
    commands: list[str] = []

    async def counting(process: Process) -> None:
        commands.append(process.command or "")
        await serve(process)

    return counting, commands


def saying(text: str) -> Served:
    async def serve(process: Process) -> None:
        process.stdout.write(text.encode())
        process.exit(0)

    return serve


@pytest.fixture
async def machine(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Machine]:
    monkeypatch.setattr(metrics, "FIRST_INTERVAL_S", 0.05)
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = shell_in(tmp_path)
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    return home_of(ann.user, machine)


async def ask(signed_in: SignIn | None, environment_id: object, query: str = "", *, method: str = "get") -> Any:
    headers = {} if signed_in is None else {"authorization": f"Bearer {signed_in.tokens.access}"}
    path = f"/api/v1/environments/{environment_id}/metrics{query}"
    return await getattr(AsyncClient(), method)(path, headers=headers)


async def read(signed_in: SignIn, home: Environment, query: str = "") -> dict[str, Any]:
    answer = await ask(signed_in, home.pk, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def sample(at: datetime | None = None, *, cpu: float = 1.0, **reading: Any) -> Sample:
    return Sample(at or timezone.now(), cpu, Reading(**{"cpu": CPUTimes(1, 100), **reading}))


@database_sync_to_async
def row_of(home: Environment) -> Environment:
    return Environment.objects.get(pk=home.pk)


@database_sync_to_async
def samples_of(home: Environment) -> list[MetricSample]:
    return list(home.samples.all())


@database_sync_to_async
def change(home: Environment, **columns: Any) -> None:
    Environment.objects.filter(pk=home.pk).update(**columns)


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
    await database_sync_to_async(samples.measured)(home.pk, sample())
    body = await read(ann, home)
    assert {body[name] for name in [*NUMBERS, "load_average"]} == {None}
    assert (body["active_connections"], body["history"]) == (0, [])
    assert datetime.fromisoformat(body["timestamp"]) - datetime.now(UTC) < timedelta(seconds=5)


async def test_an_answer_is_good_for_ten_seconds(ann: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    first, second = await read(ann, home), await read(ann, home)
    assert (first, len(commands)) == (second, 1)
    await database_sync_to_async(samples.measured)(home.pk, sample(timezone.now() - timedelta(seconds=11)))
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
    is_being_measured = samples.is_being_measured

    def seen(environment_id: uuid.UUID) -> bool:
        loop.call_soon_threadsafe(go.set)
        return is_being_measured(environment_id)

    async def serve(process: Process) -> None:
        await go.wait()
        await saying("nothing of use")(process)

    monkeypatch.setattr(samples, "is_being_measured", seen)
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
    await database_sync_to_async(samples.measured)(home.pk, sample(at, cpu=12.5))
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
    await database_sync_to_async(samples.measured)(home.pk, sample(home.phase_changed_at - timedelta(seconds=1)))
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
        ("0", "min_value"),
        ("169", "max_value"),
        ("-1", "min_value"),
        ("x", "invalid"),
        ("", "invalid"),
        ("1.5", "invalid"),
    ],
)
async def test_hours_out_of_range_are_refused(hours: str, code: str, ann: SignIn, home: Environment) -> None:
    answer = await ask(ann, home.pk, f"?hours={hours}")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("hours", code)


# --- Who may ask


async def test_only_its_owner_may_ask(ann: SignIn, ben: SignIn, home: Environment, machine: Machine) -> None:
    machine.serve, commands = counted(machine.serve)
    assert (await ask(None, home.pk)).status_code == 401
    assert (await ask(ben, home.pk)).status_code == 404
    assert (await ask(ann, uuid.uuid4())).status_code == 404
    assert (await ask(ann, "no-id")).status_code == 404
    assert (await ask(ben, home.pk, method="options")).status_code == 404
    await change(home, phase=Phase.TERMINATED)
    assert (await ask(ann, home.pk)).status_code == 404
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


# --- The sampler


@asynccontextmanager
async def sampling(*, period_s: float = 60.0, **options: Any) -> AsyncIterator[Sampler]:
    tasks = TaskOwner()
    sampler = Sampler(period_s=period_s, look_every_s=0.02, **options)
    tasks.start(sampler.run(), name="sampler")
    try:
        yield sampler
    finally:
        await tasks.aclose()


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
    claim = database_sync_to_async(samples.samples_claim)
    assert await claim(limit=5, own=(), wait_s=60, period_s=60) == []
    assert [row.pk for row in await claim(limit=5, own={home.pk}, wait_s=60, period_s=60)] == [home.pk]
    assert await claim(limit=5, own={home.pk}, wait_s=0, period_s=60) == []
    await change(home, sample_due_at=now - timedelta(seconds=61))
    assert [row.pk for row in await claim(limit=5, own=(), wait_s=60, period_s=60)] == [home.pk]


async def test_a_silent_machine_holds_up_no_other_and_is_asked_less_often(
    ann: SignIn, home: Environment, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "COMMAND_LIMIT_S", 0.3)
    async with Machine.start() as silent:
        silent.serve = never
        await change(home, sample_due_at=timezone.now())
        other_key = silent.host_key.export_public_key().decode()
        lost = await database_sync_to_async(home_of)(
            ann.user, name="Lost", host_public_key=other_key, sample_due_at=timezone.now() - timedelta(seconds=1)
        )
        async with sampling():
            await until_sampled(home)
            async with asyncio.timeout(5):
                while not await is_put_off(lost):  # noqa: ASYNC110 -- a database's row
                    await asyncio.sleep(0.02)
        assert await samples_of(lost) == []
        assert (await row_of(lost)).cpu_percent is None


async def test_a_machine_that_stopped_meanwhile_gets_no_sample(home: Environment) -> None:
    await change(home, phase=Phase.STOPPING)
    assert not await database_sync_to_async(samples.sample_store)(home, sample())
    await change(home, phase=Phase.RUNNING, phase_changed_at=timezone.now())  # and started again
    assert not await database_sync_to_async(samples.sample_store)(home, sample())
    assert await samples_of(home) == []


async def test_only_running_machines_are_due(home: Environment) -> None:
    await change(home, phase=Phase.STOPPED, sample_due_at=timezone.now())
    assert await database_sync_to_async(samples.samples_claim)(limit=5, own={home.pk}, wait_s=0, period_s=60) == []


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
    monkeypatch.setattr(samples, "PRUNE_BATCH", 2)
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
    assert not await database_sync_to_async(samples.prune_is_due)()  # somebody has done it in this hour


async def test_without_a_period_nothing_is_sampled(home: Environment, settings: Any) -> None:
    settings.METRICS_SECONDS = 0
    before = asyncio.all_tasks()
    async with sampler.lifespan():
        assert asyncio.all_tasks() == before


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.uuids(), st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1)))
def test_turns_come_once_a_period_at_the_machines_own_second(environment_id: uuid.UUID, now: datetime) -> None:
    turn = samples.next_turn(environment_id, now, period_s=60)
    assert timedelta(seconds=29.9) < turn - now < timedelta(seconds=90.1)
    again = samples.next_turn(environment_id, turn, period_s=60)
    assert abs((again - turn).total_seconds() - 60) < 0.001


def test_turns_are_spread_over_the_period() -> None:
    turns = [samples.next_turn(uuid.uuid4(), NOW, period_s=60).second for _ in range(2000)]
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
