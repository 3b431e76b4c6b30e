"""What is typed arrives once and in order, whatever becomes of connections. Against a small server, no network."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from terminals.client import frames
from terminals.client.outbox import FRAME_CHARACTERS, KEPT_CHARACTERS, Outbox, Piece
from terminals.client.pace import Pace
from terminals.limits import Allowance
from terminals.protocol import Input, parse_frame

MESSAGE_LIMIT_BYTES = 64 * 1024  # contract 9.1
LIMIT = 100  # characters, so that it is reached


class CutConnections(RuleBasedStateMachine):
    """The server applies each number once, as docs/websocket-protocol.md has it; a cut loses what is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(LIMIT)
        self.typed = self.applied = ""
        self.applied_number = 0
        self.is_connected = True
        self.up: list[Piece] = []
        self.down: list[int] = []

    @precondition(lambda self: not self.outbox.is_full)
    @rule(text=st.text("abc", min_size=1, max_size=60))
    def type(self, text: str) -> None:
        self.outbox.put(text)
        self.typed += text

    @precondition(lambda self: self.is_connected)
    @rule(most=st.integers(1, 4))
    def send(self, most: int) -> None:
        for _ in range(most):
            if (piece := self.outbox.next()) is not None:
                self.up.append(piece)

    @precondition(lambda self: self.is_connected and not self.outbox.is_full)
    @rule(keys=st.text("abc", min_size=1, max_size=4))
    def press(self, keys: str) -> None:
        """Each on its way before the next one comes."""
        for key in keys:
            self.type(key)
            self.send(1)

    @precondition(lambda self: self.up)
    @rule()
    def arrive(self) -> None:
        number, text = self.up.pop(0)
        if number > self.applied_number:
            self.applied_number = number
            self.applied += text
        self.down.append(self.applied_number)

    @precondition(lambda self: self.down)
    @rule(skipped=st.integers(0, 3))
    def acknowledge(self, skipped: int) -> None:
        """One acknowledgement speaks for those before it."""
        del self.down[: min(skipped, len(self.down) - 1)]
        self.outbox.acknowledged(self.down.pop(0))

    @precondition(lambda self: self.is_connected)
    @rule(arriving=st.integers(0, 3))
    def cut(self, arriving: int) -> None:
        """Some of it still arrives, and nobody hears of it."""
        while self.up and arriving:
            self.arrive()
            arriving -= 1
        self.up, self.down, self.is_connected = [], [], False

    @precondition(lambda self: self.is_connected)
    @rule(arriving=st.integers(0, 3))
    def blink(self, arriving: int) -> None:
        """A cut that is over at once."""
        self.cut(arriving)
        self.come_back(1)

    @precondition(lambda self: not self.is_connected)
    @rule(times=st.integers(1, 2))
    def come_back(self, times: int) -> None:
        """`welcome` says what was applied; `reattached` may say it again."""
        for _ in range(times):
            self.outbox.start_over(self.applied_number)
        self.is_connected = True

    @precondition(lambda self: self.is_connected)
    @rule()
    def begin_again_without_a_cut(self) -> None:
        """`reattached` on the same socket: what is under way still arrives, and is sent again."""
        self.outbox.start_over(self.applied_number)

    @invariant()
    def nothing_is_lost_repeated_or_swapped(self) -> None:
        assert self.typed.startswith(self.applied)

    @invariant()
    def it_keeps_no_more_than_it_must(self) -> None:
        assert len(self.outbox) <= LIMIT + 60

    def teardown(self) -> None:
        if not self.is_connected:
            self.come_back(1)
        while (piece := self.outbox.next()) is not None:
            self.up.append(piece)
        while self.up:
            self.arrive()
        assert self.applied == self.typed
        self.outbox.acknowledged(self.applied_number)
        assert len(self.outbox) == 0


TestCutConnections = CutConnections.TestCase
TestCutConnections.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


@given(
    st.lists(st.text(max_size=50), max_size=5), st.sampled_from(["\x1b", "ä", "😀", '"\\', "x"]), st.integers(0, 20000)
)
def test_messages_fit_and_hold_all_that_was_typed_in_order(texts: list[str], filler: str, count: int) -> None:
    outbox, sent, numbers = Outbox(), b"", []
    for text in [*texts, filler * count]:
        outbox.put(text)
    while (piece := outbox.next()) is not None:
        message = frames.typed(*piece)
        assert len(message.encode()) < MESSAGE_LIMIT_BYTES
        command = parse_frame(message)
        assert isinstance(command, Input)
        sent += command.data
        numbers.append(command.seq)
    assert sent == ("".join(texts) + filler * count).encode()
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_is_not_acknowledged_is_kept_and_takes_room() -> None:
    outbox = Outbox(limit=3)
    outbox.put("abcd")
    assert outbox.next() == (1, "abcd")
    assert (outbox.next(), outbox.is_full) == (None, True)
    outbox.acknowledged(1)
    assert not outbox.is_full


def test_a_surplus_is_dropped_from_the_end_and_never_what_has_a_number() -> None:
    outbox = Outbox(limit=5)
    outbox.put("ab")
    assert outbox.next() == (1, "ab")
    outbox.put("cdef")
    outbox.forget_surplus()
    assert not outbox.is_full
    outbox.start_over(0)
    assert [outbox.next(), outbox.next(), outbox.next()] == [(1, "ab"), (2, "cde"), None]


def test_what_was_applied_is_not_sent_again() -> None:
    outbox = Outbox()
    for text in "abc":
        outbox.put(text)
        outbox.next()
    outbox.start_over(2)
    assert [outbox.next(), outbox.next()] == [(3, "c"), None]


def test_what_is_forgotten_leaves_no_number_to_be_given_twice() -> None:
    outbox = Outbox()
    assert not outbox.forget()
    outbox.put("old")
    assert outbox.next() == (1, "old")
    outbox.put("older")
    assert outbox.forget()
    outbox.put("new")
    outbox.start_over(1)
    assert outbox.next() == (2, "new")


@given(
    st.sampled_from([(1, 1 / 30), (40, 0.01), (FRAME_CHARACTERS, 0.0), (4 * FRAME_CHARACTERS, 0.0)]),
    st.floats(0, 0.5),
)
def test_what_goes_on_for_long_is_never_too_much_for_too_long(input_: tuple[int, float], way_s: float) -> None:
    """A key held down, lines, a paste; by the server's own count, with `way_s` between it and the client."""
    size_bytes, every_s = input_
    allowance, pace = Allowance(0.0, input_burst=300, input_per_s=20), Pace()
    under_way = deque([0.0], maxlen=KEPT_CHARACTERS // size_bytes)  # when each was read: the outbox keeps no more
    told: tuple[float, float] | None = None
    sent_at = 0.0
    while sent_at < 480:
        sent_at = max(sent_at + every_s, under_way[0] + way_s if len(under_way) == under_way.maxlen else 0.0)
        if told is not None and told[0] <= sent_at:
            pace.slow_down(told[1])
            told = None
        sent_at += pace.rest_s()
        pace.sent(size_bytes)
        read_at = max(under_way[-1], sent_at + way_s)
        allowance.typed(size_bytes, read_at)
        verdict = allowance.verdict
        assert not verdict.is_too_long
        if verdict.is_new:
            told = (read_at + way_s, verdict.retry_after_s)
        under_way.append(read_at + verdict.wait_s)


def test_a_server_that_does_not_complain_is_typed_at_as_fast_as_it_goes() -> None:
    pace = Pace()
    pace.sent(1024 * 1024)
    assert pace.rest_s() == 0
    pace.slow_down(2)
    pace.sent(1)
    assert pace.rest_s() > 2
    assert pace.rest_s() == 0
    pace.sent(1)
    pace.begin()
    assert pace.rest_s() == 0
