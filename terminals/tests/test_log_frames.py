"""What is asked of the logs' WebSocket, and what its clients are told once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.log_buffer import Entry
from environments.log_lines import Level, Line, Source
from environments.models import Environment
from terminals.log_frames import Told
from terminals.log_protocol import LogsQuery, parse_logs_query
from terminals.tests.test_golden import ENVIRONMENT_ID, first

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "follow", "lines"),
    [
        ("", True, 100),
        ("token=x&follow=true&lines=7", True, 7),
        ("follow=false", False, 100),
        ("follow=FALSE&lines=0", False, 0),
        ("follow=0", False, 100),
        ("follow=no", False, 100),
        ("follow=maybe", True, 100),
        ("follow=", True, 100),
        ("follow=true&follow=false", False, 100),
        ("lines=1000", True, 1000),
        ("lines=1001", True, 1000),
        ("lines=0000000000005", True, 5),
        ("lines=" + "9" * 10_000, True, 1000),
        ("lines=-1", True, 0),
        ("lines=-", True, 100),
        ("lines=--5", True, 100),
        ("lines=1.5", True, 100),
        ("lines=1e3", True, 100),
        ("lines=%EF%BC%95", True, 100),
        ("lines=%C2%B2", True, 100),
        ("lines=5&lines=x", True, 100),
    ],
)
def test_queries(query: str, follow: bool, lines: int) -> None:
    assert parse_logs_query(query.encode()) == LogsQuery(follow, lines)


@given(st.binary())
def test_any_query_is_read(query: bytes) -> None:
    assert 0 <= parse_logs_query(query).lines <= 1000
    assert 0 <= parse_logs_query(b"lines=" + query).lines <= 1000


# --- What is told


def news(told: Told, environment: Environment) -> list[tuple[str, Any]]:
    """Type and what it says, of each frame."""
    frames = [json.loads(text) for text in told.news(environment)]
    return [(frame["type"], frame.get("progress", frame.get("code"))) for frame in frames]


def test_a_life() -> None:
    environment = first(phase="creating")
    told = Told(environment)
    status, complete, update = "installation_status", "installation_complete", "status_update"

    def then(**columns: Any) -> list[tuple[str, Any]]:
        for name, value in columns.items():
            setattr(environment, name, value)
        return news(told, environment)

    assert then() == [(status, 0), (update, 0)]
    assert then() == [(update, 0)]  # it is being prepared: every time
    assert then(phase="installing", progress=20, install_percent=20) == [(status, 20), (update, 20)]
    assert then(install_percent=10) == [(update, 20)]
    assert then(phase="running", progress=100, install_percent=30) == [(status, 30), (update, 100)]
    failed = "The set-up isn't complete: no network"
    assert then(install_error=failed) == [("installation_error", "installation_failed"), (update, 100)]
    assert then() == []
    assert then(phase="stopped") == [(status, 30), (update, 100)]
    assert then(phase="running", install_error="", status_message="On") == [(status, 30), (update, 100)]
    assert then(install_percent=100, installation_completed=True) == [(complete, None), (update, 100)]
    assert then() == []
    assert then(phase="stopping", progress=0) == [(update, 0)]
    assert then(phase="error", error_code="stopping_timeout") == [(update, 0)]  # nothing of the set-up
    anew = {"droplet_id": None, "droplet_ip": None, "installation_completed": False, "install_percent": 0}
    assert then(phase="creating", **anew) == [(status, 100), (update, 0)]
    assert then(phase="installing", droplet_id=2) == [(status, 0), (update, 0)]
    assert then(phase="configuring", install_percent=100, installation_completed=True) == [(status, 100), (update, 0)]
    assert then(phase="running") == [(complete, None), (update, 0)]
    assert then() == []


def test_what_is_complete_already_is_told_at_first() -> None:
    environment = first(phase="stopped", installation_completed=True, install_percent=100)
    told = Told(environment)
    assert news(told, environment) == [("installation_complete", None)]
    assert news(told, environment) == []


def test_lines_of_an_earlier_machine_say_nothing_of_the_present_one() -> None:
    told = Told(first(phase="installing"))

    def progress(machine: str, percent: int) -> int:
        line = Line(AT, Level.INFO, Source.INSTALL, "x", "core_tools", None)
        frame = json.loads(told.line(ENVIRONMENT_ID, Entry(line, machine, "core_tools", percent)))
        assert frame["type"] == "installation_log"
        return int(frame["progress"])

    assert [progress("1", 50), progress("1", 40), progress("2", 10), progress("1", 60), progress("2", 20)] == [
        *(50, 50, 10),
        *(10, 20),
    ]
    assert progress("", 90) == 20


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.booleans())))
def test_progress_never_falls(steps: list[tuple[int, int, bool]]) -> None:
    environment = first(phase="installing")
    told, shown = Told(environment), []
    for read, recorded, is_line in steps:
        if is_line:
            line = Line(AT, Level.INFO, Source.CLOUD_INIT, "x")
            shown.append(json.loads(told.line(ENVIRONMENT_ID, Entry(line, "123456789", "core_tools", read))))
        else:
            environment.install_percent = recorded
            shown += [json.loads(text) for text in told.news(environment)]
    told_of = [frame["progress"] for frame in shown if frame["type"] != "status_update"]
    assert told_of == sorted(told_of)
