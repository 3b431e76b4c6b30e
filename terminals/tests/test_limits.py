"""How much a client may say, with a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from terminals.limits import FINE, INPUT_BYTES_PER_S, Allowance


def allowance(now: float = 0.0) -> Allowance:
    return Allowance(now, input_burst=300, input_per_s=20)


def test_a_burst_and_then_twenty_a_second() -> None:
    one = allowance()
    for _ in range(300):
        one.typed(1, 0.0)
        assert one.verdict is FINE
    one.typed(1, 0.0)
    assert (one.verdict.wait_s, one.verdict.is_new) == (0.05, True)
    one.typed(1, 0.05)
    assert (round(one.verdict.wait_s, 6), one.verdict.is_new) == (0.05, False)


def test_a_fast_typist_is_never_slowed_down() -> None:
    one = allowance()
    for number in range(10_000):
        one.typed(1, number / 20)
        assert one.verdict is FINE


def test_a_mebibyte_is_taken_at_once_and_the_next_within_a_minute() -> None:
    one = allowance()
    for _ in range(17):
        one.typed(65536, 0.0)
        assert one.verdict is FINE
    one.typed(65536, 0.0)
    assert one.verdict.wait_s == 65536 / INPUT_BYTES_PER_S
    assert 3 < one.verdict.wait_s < 4  # a keystroke after it is not far away


@given(st.lists(st.tuples(st.integers(0, 65536), st.floats(0, 5)), max_size=200))
def test_who_waits_as_told_owes_nothing(messages: list[tuple[int, float]]) -> None:
    one, now, sent, count = allowance(), 0.0, 0, 0
    for size, pause in messages:
        now += pause
        one.typed(size, now)
        now += one.verdict.wait_s
        sent, count = sent + size, count + 1
        assert sent <= 1024 * 1024 + 65536 + INPUT_BYTES_PER_S * now + 1
        assert count <= 300 + 20 * now + 1


def test_a_hundred_other_messages_and_one_more_every_so_often() -> None:
    one = allowance()
    assert [one.said(0.0) for _ in range(100)] == [0.0] * 100
    assert 0 < one.said(0.0) <= 0.6
    assert (one.verdict.is_new, one.verdict.wait_s) == (True, 0.0)  # dropped, not delayed
    one.said(0.1)
    assert not one.verdict.is_new
    assert one.said(0.7) == 0.0


def test_a_minute_of_excess_is_too_much() -> None:
    one = allowance()
    for _ in range(300):
        one.typed(1, 0.0)
    now = 0.0
    while now <= 60:
        one.typed(1, now)
        assert not one.verdict.is_too_long
        now += one.verdict.wait_s
    one.typed(1, now)
    assert one.verdict.is_too_long


def test_a_pause_ends_an_excess() -> None:
    one = allowance()
    for _ in range(301):
        one.typed(1, 0.0)
    for _ in range(301):
        one.typed(1, 100.0)
    assert (one.verdict.is_new, one.verdict.is_too_long) == (True, False)
