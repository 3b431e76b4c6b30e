"""The replay buffer gives exactly what was put in."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from terminals.replay import ReplayBuffer

CHUNKS = st.lists(st.binary(max_size=40))


def filled(chunks: list[bytes], limit: int) -> ReplayBuffer:
    buffer = ReplayBuffer(limit)
    for chunk in chunks:
        buffer.append(chunk)
    return buffer


@given(CHUNKS, st.integers(1, 64), st.data())
def test_replay_returns_exactly_the_tail_after_an_offset(chunks: list[bytes], limit: int, data: st.DataObject) -> None:
    whole, buffer = b"".join(chunks), filled(chunks, limit)
    offset = data.draw(st.integers(0, len(whole)))
    first, tail = buffer.since(offset)
    assert tail == whole[first:]
    assert first == max(offset, len(whole) - limit)


@given(CHUNKS, st.integers(1, 64), st.integers(1, 50), st.data())
def test_replay_gives_at_most_what_is_asked_for(
    chunks: list[bytes], limit: int, most: int, data: st.DataObject
) -> None:
    whole, buffer = b"".join(chunks), filled(chunks, limit)
    offset = data.draw(st.integers(0, len(whole)))
    first, piece = buffer.since(offset, most)
    assert first == max(offset, len(whole) - limit)
    assert piece == whole[first : first + most]


@given(CHUNKS, st.integers(1, 64))
def test_replay_counts_from_the_beginning(chunks: list[bytes], limit: int) -> None:
    ends = [0, *accumulate(map(len, chunks))]
    buffer = ReplayBuffer(limit)
    for chunk, end in zip(chunks, ends[1:], strict=True):
        buffer.append(chunk)
        assert (buffer.start, buffer.end) == (max(0, end - limit), end)


def test_an_offset_beyond_the_end_gives_nothing() -> None:
    assert filled([b"abc"], 10).since(7) == (7, b"")
    assert ReplayBuffer(10).since(0) == (0, b"")
