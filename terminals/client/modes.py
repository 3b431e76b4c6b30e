"""What a remote program has switched on in the local terminal, to be switched off when it can't do so itself. Pure.

Source: ECMA-48 and "XTerm Control Sequences", DECSET.
"""

from __future__ import annotations

import re

SWITCH = re.compile(rb"\x1b(?:\[\?([0-9;]*)([hl])|([=>]))")
UNFINISHED = re.compile(rb"\x1b(?:\[(?:\?[0-9;]*)?)?\Z")
UNFINISHED_MAX = 64  # a longer list of modes is none that a program writes
DIGITS_MAX = 8

CURSOR_VISIBLE = 25
# Off is how a shell wants them: application cursor keys, mouse reports in all their forms, focus, bracketed paste.
UNWANTED = (1, 9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004)
ALTERNATE_SCREENS = (47, 1047, 1049)


class ModeTracker:
    """Follows the output and knows what has to be undone after it."""

    def __init__(self) -> None:
        self._modes: dict[int, bool] = {}
        self._has_keypad_mode = False
        self._tail = b""  # a sequence of which only the beginning has come

    def feed(self, data: bytes) -> None:
        if not self._tail and b"\x1b" not in data:
            return
        data = self._tail + data
        for modes, switch, keypad in SWITCH.findall(data):
            if keypad:
                self._has_keypad_mode = keypad == b"="
            for mode in modes.split(b";"):
                if mode and len(mode) <= DIGITS_MAX:
                    self._modes[int(mode)] = switch == b"h"
        unfinished = UNFINISHED.search(data[-UNFINISHED_MAX:])
        self._tail = unfinished.group() if unfinished else b""

    @property
    def is_alternate(self) -> bool:
        """A program has the whole screen, and draws it."""
        return any(self._modes.get(mode) for mode in ALTERNATE_SCREENS)

    def undo(self) -> str:
        """What brings the terminal back; empty where nothing is to be done. The alternate screen is left last."""
        text = "".join(f"\x1b[?{mode}l" for mode in UNWANTED if self._modes.get(mode))
        if self._has_keypad_mode:
            text += "\x1b>"
        if self._modes.get(CURSOR_VISIBLE) is False:
            text += "\x1b[?25h"
        screens = "".join(f"\x1b[?{mode}l" for mode in ALTERNATE_SCREENS if self._modes.get(mode))
        if screens:
            text += "\x1b[r\x1b[0m" + screens  # the scroll region and colours are the terminal's, not the screen's
        return text
