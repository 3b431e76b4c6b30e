"""All processes together stay within the calls that the cloud allows."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.core.cache import cache

from devpocket.tests.parallel import in_parallel
from environments import budget
from environments.budget import BudgetSpent, Gate, Priority, hold, take


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a test moves on."""
    now = [1_000_000.0]
    monkeypatch.setattr(budget.time, "time", lambda: now[0])
    return now


@pytest.fixture
def limits(settings: Any) -> Any:
    settings.CLOUD_CALLS_PER_MINUTE, settings.CLOUD_CALLS_PER_HOUR = 50, 120
    return settings


def granted(priority: Priority, tries: int) -> int:
    return sum(take(priority) == 0.0 for _ in range(tries))


@pytest.mark.usefixtures("limits")
def test_never_more_in_any_minute_than_the_limit(clock: list[float]) -> None:
    times: list[float] = []
    for _ in range(400):
        if take(Priority.REQUEST) == 0.0:
            times.append(clock[0])
        clock[0] += 0.37
    assert times
    busiest = max(sum(at <= other < at + 60 for other in times) for at in times)
    assert busiest <= 50


@pytest.mark.usefixtures("limits")
def test_the_hour_is_kept_too(clock: list[float]) -> None:
    given = 0
    for _ in range(40):
        given += granted(Priority.REQUEST, 60)
        clock[0] += 62
    assert given == 120


def test_those_who_come_first_always_have_room(limits: Any, clock: list[float]) -> None:
    limits.CLOUD_CALLS_PER_MINUTE = 100
    limits.CLOUD_CALLS_PER_HOUR = 1000
    assert granted(Priority.BACKGROUND, 200) == 92
    assert granted(Priority.STEP, 200) == 2
    assert granted(Priority.LISTING, 200) == 5
    assert granted(Priority.REQUEST, 200) == 1


@pytest.mark.usefixtures("limits")
def test_whoever_waits_is_told_for_how_long(clock: list[float]) -> None:
    assert granted(Priority.REQUEST, 50) == 50
    clock[0] += 20
    wait_s = take(Priority.REQUEST)
    assert 40 < wait_s <= 41
    clock[0] += wait_s
    assert take(Priority.REQUEST) == 0.0


@pytest.mark.usefixtures("limits")
def test_a_hold_stops_everybody_for_its_time(clock: list[float]) -> None:
    hold(30)
    assert take(Priority.REQUEST) == pytest.approx(30)
    clock[0] += 30.1
    assert take(Priority.REQUEST) == 0.0


@pytest.mark.usefixtures("limits")
def test_many_at_once_take_no_more_than_there_is() -> None:
    assert sum(in_parallel(lambda _: granted(Priority.REQUEST, 20), count=16)) == 50


@pytest.mark.usefixtures("limits")
def test_a_lock_of_a_killed_process_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LOCK_PAUSE_S", 0.001)
    cache.add(budget.LOCK, "somebody killed", 1)
    assert take(Priority.REQUEST) == budget.BUSY_S
    give_up_at = time.monotonic() + 10
    while take(Priority.REQUEST) != 0.0:
        assert time.monotonic() < give_up_at


def test_the_gate_gives_up_what_nobody_waits_for_any_more() -> None:
    gate, abandoned = Gate(Priority.STEP), threading.Event()
    gate.watch(abandoned)
    gate()
    abandoned.set()
    with pytest.raises(BudgetSpent):
        gate()


def test_a_closed_gate_lets_nobody_through() -> None:
    gate = Gate(Priority.STEP)
    gate.close()
    with pytest.raises(BudgetSpent):
        gate()
