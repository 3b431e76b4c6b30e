"""How much a client may say, and what becomes of it where it says more (contract section 9.6). Pure.

Times are given, in seconds of any one clock.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT_BYTES_BURST = 1024 * 1024 + 64 * 1024  # a paste of a MiB, with what brackets it, arrives whole
INPUT_BYTES_PER_S = 1024 * 1024 / 60
OTHERS_BURST, OTHERS_PER_S = 100, 100 / 60
EXCESS_LIMIT_S = 60.0  # in excess for longer than this, a client is closed
EXCESS_PAUSE_S = 10.0  # it is over when there was none for so long


class Bucket:
    """A token bucket: `burst` at once, and `rate_per_s` in the long run."""

    __slots__ = ("_burst", "_filled_at", "_level", "_rate")

    def __init__(self, burst: float, rate_per_s: float, *, now: float) -> None:
        self._burst, self._rate = burst, rate_per_s
        self._level, self._filled_at = burst, now

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def spend(self, amount: float, now: float) -> float:
        """Take it, also where that means a debt. How long to wait until the debt is paid; 0 for none."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def try_spend(self, now: float) -> float:
        """Take one if there is one, then 0; else take none, and how long to wait for it."""
        self._fill(now)
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate


class _Excess:
    """From when on, and until when, a client was last over its limit."""

    __slots__ = ("_since", "_until")

    def __init__(self) -> None:
        self._since = self._until = float("-inf")

    def note(self, now: float) -> tuple[bool, bool]:
        """It is over its limit: whether that has just begun, and whether it goes on for too long."""
        is_new = now - self._until > EXCESS_PAUSE_S
        self._until = now
        if is_new:
            self._since = now
        return is_new, now - self._since > EXCESS_LIMIT_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait_s`: before the next message is read. `is_new`: an excess begins, of which the client is told;
    `retry_after_s` then is when it may go on.
    """

    wait_s: float = 0.0
    retry_after_s: float = 0.0
    is_new: bool = False
    is_too_long: bool = False


FINE = Verdict()


class Allowance:
    """One client's. `verdict` is that on its last message."""

    __slots__ = ("_bytes", "_messages", "_others", "_talking", "_typing", "verdict")

    def __init__(self, now: float, *, input_burst: float, input_per_s: float) -> None:
        self.verdict = FINE
        self._messages = Bucket(input_burst, input_per_s, now=now)
        self._bytes = Bucket(INPUT_BYTES_BURST, INPUT_BYTES_PER_S, now=now)
        self._others = Bucket(OTHERS_BURST, OTHERS_PER_S, now=now)
        self._typing, self._talking = _Excess(), _Excess()

    def typed(self, size_bytes: int, now: float) -> None:
        """Input: never dropped, the next message waits."""
        wait_s = max(self._messages.spend(1, now), self._bytes.spend(size_bytes, now))
        self.verdict = Verdict(wait_s, wait_s, *self._typing.note(now)) if wait_s else FINE

    def said(self, now: float) -> float:
        """Any other message: 0, or the seconds until one may be said again. This one is dropped then."""
        wait_s = self._others.try_spend(now)
        self.verdict = Verdict(0.0, wait_s, *self._talking.note(now)) if wait_s else FINE
        return wait_s
