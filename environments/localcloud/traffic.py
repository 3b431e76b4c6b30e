"""What was asked of the API: the last requests, and the busiest minute since the start."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

REQUESTS_KEPT = 10_000
MINUTE_S = 60


class Traffic:
    """A log of requests, of which the oldest are forgotten, and counts, which are exact."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._clock = clock
        self._last_minute: deque[float] = deque()
        self._most = self._total = 0
        self._most_at: float | None = None

    def note(self, method: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Log a request; its status stays None as long as, or if, it has no answer."""
        now = self._clock()
        entry: dict[str, Any] = {
            "method": method,
            "path": path,
            "query": query,
            "status": None,
            "time": now,
            "took_s": None,
            "fault": None,
        }
        self.requests.append(entry)
        self._last_minute.append(now)
        while self._last_minute[0] <= now - MINUTE_S:
            self._last_minute.popleft()
        self._total += 1
        if len(self._last_minute) > self._most:
            self._most, self._most_at = len(self._last_minute), now
        return entry

    def busiest(self) -> dict[str, Any]:
        """The most requests in any 60 seconds, when those ended, and how many there were in all."""
        return {"requests": self._most, "until": self._most_at, "total": self._total}
