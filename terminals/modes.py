"""What a program has switched on in the terminals that show it, followed through its output. Pure.

After a gap in the output a client is told these again: it may have missed the switch. Source: "XTerm Control
Sequences", DECSET, DECSTR, RIS.
"""

from __future__ import annotations

import re

# Those that matter to what the user sees and types: cursor keys, wrapping, mouse in all its forms, cursor shown,
# alternate screens, focus, bracketed paste.
STICKY = (1, 7, 9, 25, 47, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1048, 1049, 2004)
ON_AT_FIRST = frozenset({7, 25})
APPLICATION_CURSOR = 1
ALTERNATE_SCREENS = (47, 1047, 1049)

_SWITCH = re.compile(rb"\x1b\[\?([0-9;]*)([hl])|(\x1bc)|(\x1b\[!p)")
_UNFINISHED = re.compile(rb"\x1b(?:\[(?:\?[0-9;]*|!)?)?\Z")
_UNFINISHED_MAX_BYTES = 64  # a longer list of modes is none that a program writes


class ModeTracker:
    """Fed with output, in its order and however it is cut."""

    __slots__ = ("_is_on", "_tail")

    def __init__(self) -> None:
        self._is_on: dict[int, bool] = {}
        self._tail = b""

    def copy(self) -> ModeTracker:
        other = ModeTracker()
        other._is_on, other._tail = dict(self._is_on), self._tail
        return other

    def feed(self, data: bytes) -> None:
        # One look for a single byte is ten times cheaper than one for a sequence, and a terminal's output is looked
        # through whole. So a reset is only noticed in the company of a mode; whatever resets a terminal sends both.
        if not self._tail and b"?" not in data:
            self._tail = self._unfinished(data)
            return
        data = self._tail + data
        for modes, switch, reset, soft_reset in _SWITCH.findall(data):
            if reset or soft_reset:
                self._is_on.clear()
            for mode in filter(None, modes.split(b";")):
                if len(mode) < 6 and int(mode) in STICKY:
                    self._is_on[int(mode)] = switch == b"h"
        self._tail = self._unfinished(data)

    @staticmethod
    def _unfinished(data: bytes) -> bytes:
        end = data[-_UNFINISHED_MAX_BYTES:]
        found = _UNFINISHED.search(end) if b"\x1b" in end else None
        return found.group() if found else b""

    def is_on(self, mode: int) -> bool:
        return self._is_on.get(mode, mode in ON_AT_FIRST)

    def restore(self) -> bytes:
        """Sequences that put a terminal in whatever state into this one. The screen is chosen first, then the rest."""
        screen = b"".join(b"\x1b[?%dl" % mode for mode in ALTERNATE_SCREENS if not self.is_on(mode))
        screen += b"".join(b"\x1b[?%dh" % mode for mode in ALTERNATE_SCREENS if self.is_on(mode))
        others = b"".join(
            b"\x1b[?%d%s" % (mode, b"h" if self.is_on(mode) else b"l")
            for mode in STICKY
            if mode not in ALTERNATE_SCREENS and mode != 1048
        )
        return screen + others
