"""The last lines of an environment's logs, numbered from the first that was seen. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from environments.log_lines import Line

FIRST_PHASE = "system_setup"  # contract 9.5


@dataclass(frozen=True, slots=True)
class Entry:
    """A line, and how far the set-up of its `machine` was when it came: sub-phase, percent."""

    line: Line
    machine: str
    phase: str
    percent: int


class LogBuffer:
    """Keeps the newest lines: `lines_max` of them and `chars_max` characters. `start` and `end` are numbers of lines.

    It is held once for all who read it; each has a number of its own, and so no queue that could grow.
    """

    def __init__(self, *, lines_max: int, chars_max: int) -> None:
        self._lines_max, self._chars_max = lines_max, chars_max
        self.start = self.end = 0
        self._chars = 0
        self._entries: deque[Entry] = deque()
        self._machine, self._phase, self._percent = "", FIRST_PHASE, 0

    def append(self, machine: str, lines: Iterable[Line]) -> None:
        """Add lines at the end; the oldest are forgotten. The percentage of one machine never falls."""
        if machine and machine != self._machine:
            if self._machine:
                self._phase, self._percent = FIRST_PHASE, 0
            self._machine = machine
        for line in lines:
            if line.percent is not None:
                self._percent = max(self._percent, line.percent)
                self._phase = line.phase
            self._entries.append(Entry(line, self._machine, line.phase or self._phase, self._percent))
            self.end += 1
            self._chars += len(line.message)
            while len(self._entries) > self._lines_max or (self._chars > self._chars_max and len(self._entries) > 1):
                self._chars -= len(self._entries.popleft().line.message)
                self.start += 1

    def since(self, number: int, most: int) -> tuple[int, list[Entry]]:
        """Lines from `number` on, `most` of them at most, and the number of the first: higher, if it was forgotten."""
        first = max(number, self.start)
        skipped, wanted = first - self.start, max(0, self.end - first)
        if skipped <= len(self._entries) // 2:
            return first, list(islice(self._entries, skipped, skipped + most))
        newest = list(islice(reversed(self._entries), wanted))  # a deque is walked from its nearer end
        newest.reverse()
        return first, newest[:most]
