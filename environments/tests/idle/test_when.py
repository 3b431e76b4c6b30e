"""When a machine that nobody uses is stopped, and which are left alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.idle import idle_stop_at, warning_time
from environments.lifecycle import Phase
from environments.models import Environment
from environments.tests.idle.looking import MINUTES, START, Clock, fresh, kinds, look

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
