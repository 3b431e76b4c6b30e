"""The published request limits, each a sliding window (specification, "Rate Limit")."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MINUTE_S, HOUR_S = 60, 3600
UNLIMITED = 10**9  # what the headers say where a limit is switched off


class Window:
    """At most `limit` requests in any `length_s` seconds."""

    def __init__(self, limit: int, length_s: int) -> None:
        self.limit, self.length_s = limit or UNLIMITED, length_s
        self._times: deque[float] = deque()

    def left(self, now: float) -> int:
        """How many more requests fit now."""
        while self._times and self._times[0] <= now - self.length_s:
            self._times.popleft()
        return self.limit - len(self._times)

    def count(self, now: float) -> None:
        """Note a request."""
        if self.limit < UNLIMITED:
            self._times.append(now)

    def resets_at(self, now: float) -> float:
        """When the oldest counted request is forgotten."""
        return (self._times[0] if self._times else now) + self.length_s


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass, and the headers that go with its answer."""

    allowed: bool
    headers: dict[str, str]


class RateLimiter:
    """The limits of one token. Requests over a limit are not counted."""

    def __init__(
        self, *, per_minute: int, per_hour: int, key_lists_per_minute: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._minute, self._hour = Window(per_minute, MINUTE_S), Window(per_hour, HOUR_S)
        self._key_lists = Window(key_lists_per_minute, MINUTE_S)
        self._clock = clock

    def admit(self, *, lists_keys: bool = False, counts: bool = True) -> Verdict:
        """Judge one request; `counts` is False for one without a valid token."""
        now = self._clock()
        burst = [self._minute, self._key_lists] if lists_keys else [self._minute]
        full = [window for window in burst if window.left(now) < 1]
        hour_left = self._hour.left(now)
        allowed = not counts or (not full and hour_left > 0)
        headers = {
            "ratelimit-limit": str(self._hour.limit),
            "ratelimit-reset": str(math.ceil(self._hour.resets_at(now))),
        }
        if allowed and counts:
            for window in (*burst, self._hour):
                window.count(now)
            hour_left -= 1
        if not allowed and full:
            # Only the limits by the minute name a waiting time; the remaining count then says 0.
            hour_left = 0
            headers["retry-after"] = str(max(1, math.ceil(max(w.resets_at(now) for w in full) - now)))
        headers["ratelimit-remaining"] = str(max(0, hour_left))
        return Verdict(allowed, headers)
