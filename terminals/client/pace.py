"""How fast to type at a server that has had too much. Pure. Source: docs/websocket-protocol.md, Limits."""

from __future__ import annotations

# Half of what it allows in the long run, so that what is on its way already is made up for as well. One that is in
# excess for a minute is closed.
BYTES_PER_S = 1024 * 1024 / 60 / 2
MESSAGES_PER_S = 20 / 2


class Pace:
    """As fast as it goes, until the server complains; then slowly, for as long as the socket lasts."""

    def __init__(self) -> None:
        self._is_slow = False
        self._rest_s = 0.0

    def begin(self) -> None:
        """On a socket of which nothing is known."""
        self._is_slow, self._rest_s = False, 0.0

    def slow_down(self, rest_s: float) -> None:
        """`rest_s`: the server's `retry_after`."""
        self._is_slow = True
        self._rest_s += rest_s

    def sent(self, size_bytes: int) -> None:
        if self._is_slow:
            self._rest_s += max(size_bytes / BYTES_PER_S, 1 / MESSAGES_PER_S)

    def rest_s(self) -> float:
        """How long to wait before the next message. It is taken for granted that this is done."""
        rest_s, self._rest_s = self._rest_s, 0.0
        return rest_s
