"""What a terminal shows that has been sent this output, and what tmux says that it should show."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import pyte

COLS, ROWS = 80, 24


@dataclass(frozen=True)
class Picture:
    """Lines without the blanks at their ends; the cursor's column and row, from 0."""

    lines: tuple[str, ...]
    cursor: tuple[int, int]

    def __str__(self) -> str:
        return "\n".join([*self.lines, f"cursor at {self.cursor}"])


class _Screen(pyte.Screen):  # type: ignore[misc]
    """With the one sequence that tmux uses and pyte lacks: SU, which scrolls without moving the cursor (ECMA-48)."""

    def scroll_up(self, count: int = 1) -> None:
        at = self.cursor.y
        self.cursor.y = (self.margins or pyte.screens.Margins(0, self.lines - 1)).bottom
        for _ in range(count or 1):
            self.index()
        self.cursor.y = at


class _Stream(pyte.ByteStream):  # type: ignore[misc]
    csi = {**pyte.ByteStream.csi, "S": "scroll_up"}
    events = pyte.ByteStream.events | {"scroll_up"}


class Emulator:
    """A terminal that is fed as the output comes."""

    def __init__(self) -> None:
        self._screen = _Screen(COLS, ROWS)
        self._stream = _Stream(self._screen)
        self._source: object = None
        self._fed = 0

    def feed(self, source: object, output: bytes | bytearray) -> None:
        """All output of one stream so far; that of another `source` begins anew."""
        if source != self._source:
            self._screen.reset()
            self._source, self._fed = source, 0
        self._stream.feed(bytes(output[self._fed :]))
        self._fed = len(output)

    def picture(self) -> Picture:
        lines = tuple(line.rstrip() for line in self._screen.display)
        cursor = self._screen.cursor
        return Picture(lines, (min(cursor.x, COLS - 1), cursor.y))


class Tmux:
    """`socket`: the first part of $TMUX in one of its windows."""

    def __init__(self, socket: str, session: str) -> None:
        self._command, self._target = ["tmux", "-S", socket], f"={session}:"

    def picture(self) -> Picture:
        lines = self._ask("capture-pane", "-p").split("\n")[:ROWS]
        col, row = self._ask("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return Picture(tuple(line.rstrip() for line in lines), (min(int(col), COLS - 1), int(row)))

    def _ask(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, command, "-t", self._target, *arguments], check=True, capture_output=True, timeout=10
        )
        return done.stdout.decode()
