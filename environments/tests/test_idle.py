"""Machines that nobody uses: their owners are warned, and then they are stopped; machines in use never are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.core import mail
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Mail
from accounts.services import SignIn
from accounts.tests import mailbox
from environments import idle
from environments.changes import environment_extend
from environments.errors import InvalidState
from environments.idle import IdleWatch, find_warned_stop, idle_candidates, idle_settle, idle_stop_at, warning_time
from environments.lifecycle import Desired, Phase
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading
from environments.samples import Sample, sample_store
from environments.services import activity_record, environment_act
from environments.tests.conftest import Until
from environments.tests.homes import home_of

MINUTES = 60
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Minutes since the machine came up."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def at(self, minutes: float) -> Clock:
        self.now = START + timedelta(minutes=minutes)
        return self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def limited(settings: Any) -> None:
    """Every plan stops what is idle for an hour."""
    settings.PLANS = {plan: {**limits, "idle_stop_minutes": MINUTES} for plan, limits in settings.PLANS.items()}


@pytest.fixture
def home(ann: SignIn, limited: None, clock: Clock) -> Environment:
    return home_of(ann.user, phase_changed_at=START, created_at=START)


def look(clock: Clock, *, answers: bool = True) -> None:
    """As IdleWatch.look does. `answers`: every machine has been measured just now."""
    if answers:
        for home in Environment.objects.filter(phase=Phase.RUNNING):
            MetricSample.objects.create(environment=home, at=clock(), cpu_usage=1.0)
    for environment_id in idle_candidates(clock()):
        idle_settle(environment_id, clock=clock)


def kinds(home: Environment) -> list[str]:
    return [event.kind for event in home.events.all()]


def fresh(home: Environment) -> Environment:
    return Environment.objects.get(pk=home.pk)


# --- When


AT = st.none() | st.floats(-200, 200).map(lambda minutes: START + timedelta(minutes=minutes))


@given(AT, AT, AT, st.integers(1, 10_000))
def test_a_machine_stops_its_limit_after_its_last_use(
    active: datetime | None, busy: datetime | None, extended: datetime | None, minutes: int
) -> None:
    row = Environment(
        phase=Phase.RUNNING,
        installation_completed=True,
        phase_changed_at=START,
        last_activity_at=active,
        busy_at=busy,
        idle_extended_until=extended,
    )
    stop_at = idle_stop_at(row, minutes=minutes)
    assert stop_at is not None
    for used in filter(None, (START, active, busy)):
        assert stop_at >= used + timedelta(minutes=minutes)
    assert extended is None or stop_at >= extended
    assert timedelta(0) < warning_time(minutes=minutes) <= timedelta(minutes=min(10, minutes / 2))


@pytest.mark.django_db
def test_a_machine_that_is_being_set_up_is_left_alone(home: Environment, clock: Clock) -> None:
    """Waiting for a slow network takes no CPU, and nobody watches the terminal meanwhile."""
    Environment.objects.update(installation_completed=False)
    for minute in range(0, 300, 10):
        look(clock.at(minute))
    assert (kinds(home), fresh(home).phase) == ([], Phase.RUNNING)
    Environment.objects.update(install_error="Not installed: docker", busy_at=clock.at(300)())
    look(clock.at(300 + MINUTES - 11))
    assert kinds(home) == []
    look(clock.at(300 + MINUTES - 9))
    assert kinds(home) == ["idle_warning"]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.RUNNING])
def test_only_a_running_machine_is_stopped(phase: Phase) -> None:
    assert idle_stop_at(Environment(phase=phase, phase_changed_at=START), minutes=60) is None


def test_without_a_limit_nothing_is_stopped() -> None:
    assert idle_stop_at(Environment(phase=Phase.RUNNING, phase_changed_at=START), minutes=0) is None


# --- What happens then


@pytest.mark.django_db
def test_its_owner_is_warned_once_and_then_it_is_stopped(home: Environment, clock: Clock) -> None:
    look(clock.at(49.9))
    assert (kinds(home), fresh(home).idle_warned_at) == ([], None)
    look(clock.at(50))
    look(clock.at(55))
    look(clock.at(59.9))
    row = fresh(home)
    assert (kinds(home), row.idle_warned_at, row.phase) == (["idle_warning"], clock.at(50)(), Phase.RUNNING)
    assert row.updated_at == START  # nothing has changed for those who list it
    assert find_warned_stop(row) == clock.at(60)()
    look(clock.at(60))
    row = fresh(home)
    assert (row.phase, row.desired_state, row.last_stop_reason) == (Phase.STOPPING, Desired.STOPPED, "idle")
    assert kinds(home) == ["idle_warning", "stop_requested"]
    assert find_warned_stop(row) is None
    look(clock.at(120))
    assert kinds(home) == ["idle_warning", "stop_requested"]
    assert Mail.objects.filter(kind=Mail.Kind.IDLE_WARNING).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["last_activity_at", "busy_at"])
def test_use_puts_the_stop_off_and_takes_the_warning_back(column: str, home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    Environment.objects.filter(pk=home.pk).update(**{column: clock.at(55)()})
    look(clock.at(56))
    row = fresh(home)
    assert (row.idle_warned_at, find_warned_stop(row)) == (None, None)
    look(clock.at(60))
    look(clock.at(104))
    assert fresh(home).phase == Phase.RUNNING
    look(clock.at(105))
    look(clock.at(115))
    assert fresh(home).phase == Phase.STOPPING
    assert kinds(home) == ["idle_warning", "idle_warning", "stop_requested"]


@pytest.mark.django_db
def test_use_between_two_looks_counts(home: Environment, clock: Clock) -> None:
    """The keystroke came after the warning and nobody has looked since."""
    look(clock.at(50))
    clock.at(59.99)
    activity_record(environment_id=home.pk)
    assert find_warned_stop(fresh(home)) is None
    look(clock.at(60))
    assert fresh(home).phase == Phase.RUNNING


@pytest.mark.django_db
def test_extending_puts_the_stop_off(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    clock.at(58)
    environment_extend(environment_id=home.pk, owner_id=home.owner_id)
    look(clock.at(60))
    look(clock.at(107))
    assert (fresh(home).phase, fresh(home).idle_warned_at) == (Phase.RUNNING, None)
    look(clock.at(108))
    look(clock.at(118))
    assert fresh(home).phase == Phase.STOPPING


@pytest.mark.django_db
def test_after_an_outage_of_ours_there_is_a_warning_before_the_stop(home: Environment, clock: Clock) -> None:
    look(clock.at(500))
    row = fresh(home)
    assert (row.phase, find_warned_stop(row)) == (Phase.RUNNING, clock.at(510)())
    look(clock.at(509))
    assert fresh(home).phase == Phase.RUNNING
    look(clock.at(510))
    assert fresh(home).phase == Phase.STOPPING


@pytest.mark.django_db
def test_a_warning_of_before_a_restart_does_not_count(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    Environment.objects.filter(pk=home.pk).update(phase_changed_at=clock.at(59)())
    look(clock.at(60))
    assert (fresh(home).phase, fresh(home).idle_warned_at) == (Phase.RUNNING, None)


@pytest.mark.django_db
def test_a_machine_that_does_not_answer_is_not_stopped(home: Environment, clock: Clock) -> None:
    """Too busy to answer is not unused."""
    look(clock.at(50))
    for minutes in (60, 70, 300):
        look(clock.at(minutes), answers=False)
        assert fresh(home).phase == Phase.RUNNING
    assert kinds(home) == ["idle_warning"]
    assert Mail.objects.filter(kind=Mail.Kind.IDLE_WARNING).count() == 1
    look(clock.at(301))
    assert (fresh(home).phase, fresh(home).last_stop_reason) == (Phase.STOPPING, "idle")


@pytest.mark.django_db
def test_a_machine_that_turns_out_to_be_busy_goes_on(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    look(clock.at(70), answers=False)
    busy = Sample(clock.at(71)(), 99.0, Reading(cpu=CPUTimes(99, 100)))
    assert sample_store(fresh(home), busy)
    look(clock.at(71.2), answers=False)
    row = fresh(home)
    assert (row.phase, row.idle_warned_at, kinds(home)) == (Phase.RUNNING, None, ["idle_warning"])


@pytest.mark.django_db
def test_an_answer_before_it_fell_silent_does_not_count(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    look(clock.at(51))
    look(clock.at(60), answers=False)
    assert fresh(home).phase == Phase.RUNNING


@pytest.mark.django_db
def test_an_answer_before_the_warning_does_not_count(home: Environment, clock: Clock, settings: Any) -> None:
    settings.METRICS_SECONDS = 3600
    look(clock.at(49))
    look(clock.at(50), answers=False)
    look(clock.at(60), answers=False)
    assert fresh(home).phase == Phase.RUNNING


@pytest.mark.django_db
def test_where_nothing_is_measured_terminals_alone_count(home: Environment, clock: Clock, settings: Any) -> None:
    settings.METRICS_SECONDS = 0
    look(clock.at(50), answers=False)
    clock.at(55)
    activity_record(environment_id=home.pk)
    look(clock.at(60), answers=False)
    assert fresh(home).phase == Phase.RUNNING
    look(clock.at(105), answers=False)
    look(clock.at(115), answers=False)
    assert fresh(home).phase == Phase.STOPPING


@pytest.mark.django_db
def test_plans_without_a_limit_are_left_alone(home: Environment, clock: Clock, settings: Any, ann: SignIn) -> None:
    settings.PLANS = {**settings.PLANS, "free": {**settings.PLANS["free"], "idle_stop_minutes": 0}}
    look(clock.at(5000))
    idle_settle(home.pk, clock=clock)
    assert (fresh(home).phase, kinds(home)) == (Phase.RUNNING, [])


@pytest.mark.django_db
def test_what_was_stopped_or_deleted_meanwhile_is_left_alone(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    clock.at(61)
    environment_act(environment_id=home.pk, owner_id=home.owner_id, action="stop", actor_id=home.owner_id)
    idle_settle(home.pk, clock=clock)
    assert fresh(home).last_stop_reason == "user"
    environment_act(environment_id=home.pk, owner_id=home.owner_id, action="delete", actor_id=home.owner_id)
    idle_settle(home.pk, clock=clock)


@pytest.mark.django_db
def test_looking_is_one_query_a_plan(
    home: Environment, clock: Clock, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(len(django_settings.PLANS)):
        assert idle_candidates(clock.at(50)()) == [home.pk]


@pytest.mark.django_db(transaction=True)
def test_no_keystroke_comes_between_the_look_and_the_stop(
    ann: SignIn, limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now() - timedelta(hours=3)
    home = home_of(ann.user, phase_changed_at=long_ago, idle_warned_at=timezone.now() - timedelta(minutes=20))
    MetricSample.objects.create(environment=home)
    recorded: list[datetime] = []

    def type_a_key() -> None:
        activity_record(environment_id=home.pk)
        recorded.append(timezone.now())
        connection.close()

    typing = threading.Thread(target=type_a_key)

    def act(**arguments: Any) -> None:
        typing.start()
        typing.join(0.2)
        assert not recorded
        environment_act(**arguments)

    monkeypatch.setattr(idle, "environment_act", act)
    idle_settle(home.pk)
    typing.join(10)
    row = fresh(home)
    assert row.phase == Phase.STOPPING
    assert recorded[0] > row.phase_changed_at


# --- The mail


@pytest.mark.django_db
def test_the_mail_says_what_and_when(home: Environment, clock: Clock) -> None:
    Environment.objects.filter(pk=home.pk).update(name="R&D <box>".replace("<", "(").replace(">", ")"))
    look(clock.at(50))
    mailbox.deliver()
    [message] = [message for message in mail.outbox if "stopped soon" in message.subject]
    assert message.to == ["ann@example.org"]
    assert message.subject == "R&D (box) will be stopped soon"
    for part in ("R&D (box)", "13:00 UTC", "60 minutes", django_settings.PUBLIC_URL):
        assert part in message.body
    [(html, kind)] = message.alternatives  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "R&amp;D (box)" in html


@pytest.mark.django_db
def test_a_mail_that_comes_too_late_is_not_sent(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    clock.at(61)
    mailbox.deliver()
    assert not [message for message in mail.outbox if "stopped soon" in message.subject]


@pytest.mark.django_db
def test_no_mail_goes_to_an_address_that_nobody_has_proved(home: Environment, clock: Clock, ann: SignIn) -> None:
    ann.user.is_verified = False
    ann.user.save()
    look(clock.at(50))
    mailbox.deliver()
    assert not [message for message in mail.outbox if "stopped soon" in message.subject]


# --- The service


@pytest.mark.django_db(transaction=True)
async def test_one_process_at_a_time_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def look(self: IdleWatch) -> None:
        looks.append(self)

    monkeypatch.setattr(IdleWatch, "look", look)
    watches = [IdleWatch(look_every_s=600) for _ in range(5)]
    tasks = [asyncio.create_task(watch.run()) for watch in watches]
    async with asyncio.timeout(5):
        while not looks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for watch in watches:
            assert not await database_sync_to_async(watch._is_my_turn)()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(looks) == 1


@pytest.mark.django_db(transaction=True)
async def test_trouble_with_one_machine_holds_up_no_other(
    ann: SignIn, limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = []

    def settle(environment_id: object, **options: Any) -> None:
        settled.append(environment_id)
        raise InvalidState("no")

    monkeypatch.setattr(idle, "idle_settle", settle)
    monkeypatch.setattr(idle, "idle_candidates", lambda now: [1, 2])
    await IdleWatch().look()
    assert settled == [1, 2]


async def test_where_no_plan_has_a_limit_nobody_looks() -> None:
    before = asyncio.all_tasks()
    async with idle.lifespan():
        assert asyncio.all_tasks() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("provisioning", "limited")
async def test_an_idle_machine_is_really_stopped_and_starts_again(
    ann: SignIn, create: Callable[..., Environment], until: Until
) -> None:
    row = await until(
        await database_sync_to_async(create)(ann),
        lambda row: row.phase == Phase.RUNNING and row.installation_completed,
    )
    ahead = timedelta(0)
    watch = IdleWatch(look_every_s=0.01, clock=lambda: timezone.now() + ahead)
    await watch.look()
    assert (await until(row, lambda row: True)).idle_warned_at is None
    ahead = timedelta(minutes=50, seconds=1)
    await watch.look()
    await until(row, lambda row: row.idle_warned_at is not None)
    ahead = timedelta(minutes=60, seconds=2)
    await database_sync_to_async(MetricSample.objects.create)(environment=row, at=timezone.now() + ahead)
    await watch.look()
    stopped = await until(row, lambda row: row.phase == Phase.STOPPED)
    assert stopped.last_stop_reason == "idle"
    await database_sync_to_async(environment_act)(
        environment_id=row.pk, owner_id=row.owner_id, action="start", actor_id=row.owner_id
    )
    await until(row, lambda row: row.phase == Phase.RUNNING)
