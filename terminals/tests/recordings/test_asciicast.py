"""What is recorded reads back as exactly what was said, however it was cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from terminals import asciicast
from terminals.tests.recordings.casts import Cast, read_cast

BYTES = st.lists(st.binary(max_size=12) | st.text(max_size=8).map(str.encode), max_size=20).map(b"".join)
HEADER = asciicast.header(80, 24, timestamp=1_700_000_000, title="Home")


def recorded(chunks: list[bytes], times: list[float] | None = None, began_at: float = 0.0) -> Cast:
    events = asciicast.Events(began_at)
    times = times or [began_at] * len(chunks)
    lines = [events.output(at, chunk) for at, chunk in zip(times, chunks, strict=True)]
    return read_cast(HEADER + b"".join(lines) + events.end(times[-1] if times else began_at))


@given(BYTES, st.lists(st.integers(0, 200)))
def test_text_is_the_same_however_its_bytes_are_cut(whole: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    assert recorded([whole[a:b] for a, b in pairwise(edges)]).text == whole.decode(errors="replace")


def test_a_character_is_in_the_event_that_brings_its_last_byte() -> None:
    cast = recorded([b"a\xe2", b"\x82", b"\xacb", b"\xf0\x9f"], [1.0, 2.0, 3.0, 4.0], began_at=1.0)
    assert cast.events == [(0.0, "o", "a"), (2.0, "o", "€b"), (3.0, "o", "\ufffd")]


@given(
    st.floats(0, 1e7),
    st.lists(st.tuples(st.floats(0, 1e6), st.binary(max_size=5) | st.tuples(st.integers(1, 500), st.integers(1, 200)))),
)
def test_times_are_since_the_beginning_and_never_fall(
    began_at: float, pieces: list[tuple[float, bytes | tuple[int, int]]]
) -> None:
    now, events, data, sizes = began_at, asciicast.Events(began_at), HEADER, []
    for later_s, what in pieces:
        now += later_s
        if isinstance(what, bytes):
            data += events.output(now, what)
        else:
            data += events.resized(now, *what)
            sizes.append((round(now - began_at, 6), "r", f"{what[0]}x{what[1]}"))
    cast = read_cast(data + events.end(now))
    assert [event for event in cast.events if event[1] == "r"] == sizes


def test_the_header_says_what_a_player_needs() -> None:
    title = 'Ann\'s "home" \u2028 \ud800'  # also half a surrogate pair, which UTF-8 can't carry
    header = read_cast(asciicast.header(120, 40, timestamp=1_700_000_000, title=title)).header
    assert header == {
        "version": 2,
        "width": 120,
        "height": 40,
        "timestamp": 1_700_000_000,
        "title": title,
        "env": {"TERM": "xterm-256color"},
    }


def test_the_last_line_tells_how_long_it_lasts() -> None:
    events = asciicast.Events(10.0)
    assert asciicast.duration_s(HEADER) == 0.0
    assert asciicast.duration_s(events.output(12.5, b"x")) == 2.5
