"""The last lines of an environment's logs, by number."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from environments.log_buffer import Entry, LogBuffer
from environments.log_lines import Level, Line, Source

AT = datetime(2026, 1, 1, tzinfo=UTC)


def line(message: str, *, phase: str = "", percent: int | None = None) -> Line:
    return Line(AT, Level.INFO, Source.INSTALL, message, phase, percent)


@given(
    st.lists(st.lists(st.text(max_size=20), max_size=8)),
    st.integers(1, 12),
    st.integers(1, 60),
    st.integers(0, 100),
    st.integers(1, 20),
)
def test_the_newest_lines_are_kept_by_their_numbers(
    batches: list[list[str]], lines_max: int, chars_max: int, number: int, most: int
) -> None:
    buffer = LogBuffer(lines_max=lines_max, chars_max=chars_max)
    for batch in batches:
        buffer.append("", map(line, batch))
    whole = [message for batch in batches for message in batch]
    assert buffer.end == len(whole)
    kept = whole[buffer.start :]
    assert len(kept) <= lines_max
    assert len(kept) <= 1 or sum(map(len, kept)) <= chars_max
    assert kept or not whole
    first, entries = buffer.since(number, most)
    assert first == max(number, buffer.start)
    assert [entry.line.message for entry in entries] == whole[first : first + most]


@given(st.lists(st.none() | st.integers(0, 100)))
def test_progress_never_goes_back(percents: list[int | None]) -> None:
    buffer = LogBuffer(lines_max=100_000, chars_max=100_000)
    buffer.append("1", [line("x", phase="core_tools", percent=percent) for percent in percents])
    told = [entry.percent for entry in buffer.since(0, 100_000)[1]]
    assert told == sorted(told)


def test_lines_know_how_far_the_set_up_was() -> None:
    buffer = LogBuffer(lines_max=10, chars_max=1000)
    buffer.append("", [line("event")])
    buffer.append("1", [line("early"), line("Tools", phase="core_tools", percent=30), line("apt")])
    buffer.append("1", [line("late", phase="user_setup"), line("gone on")])
    buffer.append("2", [line("anew")])
    assert [(entry.line.message, entry.machine, entry.phase, entry.percent) for entry in buffer.since(0, 10)[1]] == [
        ("event", "", "system_setup", 0),
        ("early", "1", "system_setup", 0),
        ("Tools", "1", "core_tools", 30),
        ("apt", "1", "core_tools", 30),
        ("late", "1", "user_setup", 30),
        ("gone on", "1", "core_tools", 30),
        ("anew", "2", "system_setup", 0),
    ]
    assert isinstance(buffer.since(0, 1)[1][0], Entry)
