"""Owners of idle machines are warned, and then these are stopped; machines in use never are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from accounts.models import Mail
from accounts.services import SignIn
from environments import idle
from environments.changes import environment_extend
from environments.idle import find_warned_stop, idle_candidates, idle_settle
from environments.lifecycle import Desired, Phase
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading
from environments.samples import Sample, sample_store
from environments.services import activity_record, environment_act
from environments.tests.homes import home_of
from environments.tests.idle.looking import START, Clock, fresh, kinds, look


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
