"""Which change of an environment is news, and to whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devpocket.times import time_text
from terminals.environment_news import MOVES, Untold, face_of, is_news, is_under_way
from terminals.tests.test_golden import first_in_full

AT = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
SHOWN = first_in_full()


def later(seconds: float) -> str:
    return time_text(AT + timedelta(seconds=seconds))


def changed(**fields: Any) -> dict[str, Any]:
    return {**SHOWN, **fields}


@pytest.mark.parametrize(
    "name", [name for name in SHOWN if name not in {*MOVES, "updated_at", "last_accessed", "last_activity"}]
)
def test_any_other_value_is_news(name: str) -> None:
    assert is_news(face_of(SHOWN), face_of(changed(**{name: {"state": "none"}})))


@pytest.mark.parametrize("name", ["updated_at", "last_accessed", "last_activity"])
def test_what_never_is(name: str) -> None:
    assert not is_news(face_of(SHOWN), face_of(changed(**{name: later(86400)})))


@pytest.mark.parametrize(("name", "is_told"), [("state", True), ("usd_per_hour", True), ("usd_month_to_date", False)])
def test_of_what_it_costs_the_sum_is_none(name: str, is_told: bool) -> None:
    costs = {**SHOWN["billing"], name: 1}
    assert is_news(face_of(SHOWN), face_of(changed(billing=costs))) is is_told


@pytest.mark.parametrize(
    ("name", "before", "after", "is_told"),
    [
        ("cpu_usage", 5.0, 14.9, False),
        ("cpu_usage", 5.0, 15.0, True),
        ("cpu_usage", 15.0, 5.0, True),
        ("cpu_usage", None, 0.0, True),
        ("cpu_usage", 0.0, None, True),
        ("cpu_usage", None, None, False),
        ("storage_usage", 90.0, 92.0, True),
        ("last_activity_at", later(0), later(299), False),
        ("last_activity_at", later(0), later(300), True),
        ("last_activity_at", None, later(0), True),
        ("idle_stop_at", later(0), later(60), False),
        ("idle_stop_at", later(0), later(3600), True),
        ("idle_stop_at", later(0), None, True),
    ],
)
def test_what_moves_is_news_when_it_has_moved_far(name: str, before: Any, after: Any, is_told: bool) -> None:
    assert is_news(face_of(changed(**{name: before})), face_of(changed(**{name: after}))) is is_told


def test_it_is_measured_from_what_was_told() -> None:
    """Else one that creeps would never be told, and one that swings around a step again and again."""
    untold = Untold()
    untold.welcome([changed(cpu_usage=0.0)])
    assert [untold.seen([changed(cpu_usage=float(at))]) for at in (4, 8, 3, 9)] == [False] * 4
    assert untold.seen([changed(cpu_usage=12.0)])
    untold.next()
    assert [untold.seen([changed(cpu_usage=float(at))]) for at in (8, 12, 4, 21)] == [False] * 4


@pytest.mark.parametrize(
    ("phase", "installation", "is_so"),
    [
        ("running", {"completed": True, "error": None}, False),
        ("running", {"completed": False, "error": None}, True),
        ("running", {"completed": False, "error": "x"}, False),
        ("stopped", {"completed": False, "error": None}, False),
        ("error", {"completed": False, "error": None}, False),
        *((phase, {"completed": True, "error": None}, True) for phase in ("creating", "installing", "stopping")),
    ],
)
def test_what_is_under_way(phase: str, installation: dict[str, Any], is_so: bool) -> None:
    assert is_under_way(changed(phase=phase, installation=installation)) is is_so


Names = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)


@given(Names, st.lists(st.tuples(Names, st.integers(0, 3))))
def test_whenever_a_client_reads_on_it_ends_up_with_what_is(
    first: dict[str, int], steps: list[tuple[dict[str, int], int]]
) -> None:
    """It reads a few frames after each look, and the rest at the end; and it never hears what it knows."""

    def shown(state: dict[str, int]) -> list[dict[str, Any]]:
        return [changed(id=name, progress=progress) for name, progress in state.items()]

    untold = Untold()
    known = {one["id"]: one["progress"] for one in json.loads(untold.welcome(shown(first)))["environments"]}

    def read() -> bool:
        text = untold.next()
        if text is None:
            return False
        frame = json.loads(text)
        if frame["type"] == "environment_removed":
            del known[frame["environment_id"]]
        else:
            news = frame["environment"]
            assert known.get(news["id"]) != news["progress"]
            known[news["id"]] = news["progress"]
        return True

    now = first
    for now, reads in steps:
        untold.seen(shown(now))
        assert len(untold._waiting) <= 4
        for _ in range(reads):
            read()
    while read():
        pass
    assert known == now
