"""The tables of an environment's life, held against contract section 6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.lifecycle import ACTIONS, COMPAT_STATUS, FIRST_PROGRESS, Phase, Status, installing_progress
from environments.selectors import phases_for


def test_every_phase_has_a_status_that_phones_can_decode() -> None:
    assert set(COMPAT_STATUS) == set(Phase)
    assert set(COMPAT_STATUS.values()) == set(Status)


def test_only_running_lets_the_phone_open_its_terminal() -> None:
    assert [phase for phase, status in COMPAT_STATUS.items() if status is Status.RUNNING] == [Phase.RUNNING]


@pytest.mark.parametrize(
    ("action", "allowed", "no_op", "following"),
    [
        ("start", {"stopped"}, {"running", "starting"}, "starting"),
        ("stop", {"running"}, {"stopped", "stopping"}, "stopping"),
        ("delete", set(Phase) - {"terminated"}, set(), "terminated"),
    ],
)
def test_actions_are_those_of_the_contract(action: str, allowed: set[str], no_op: set[str], following: str) -> None:
    rule = ACTIONS[action]
    assert (rule.allowed, rule.no_op, rule.next) == (allowed, no_op, following)


@given(st.integers(-1000, 1000), st.integers(0, 100))
def test_progress_while_installing_stays_within_its_span_and_never_falls(percent: int, more: int) -> None:
    low, high = installing_progress(percent), installing_progress(percent + more)
    assert FIRST_PROGRESS[Phase.INSTALLING] <= low <= high < FIRST_PROGRESS[Phase.CONFIGURING]


def test_a_filter_word_means_the_status_where_it_is_both() -> None:
    assert phases_for("running") == {Phase.RUNNING}
    assert phases_for("stopped") == {Phase.STOPPING, Phase.STOPPED}
    assert phases_for("installing") == {Phase.INSTALLING}
    assert phases_for("nonsense") is None
