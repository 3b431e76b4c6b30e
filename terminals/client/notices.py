"""What the client itself writes: a status line before there is a terminal, a banner over the remote screen. Pure."""

from __future__ import annotations

WIPE_LINE = "\r\x1b[K"
BELL = "\a"
LOOKING_ON = "You only look on here; keys are not sent (~. leaves)."
LOST = "The shell is lost; this is a new one."
DROPPED = "What you typed for the old one was dropped."
HELP = "~. leave   ~~ send ~   ~? this help   (at the start of a line)"


def status_line(text: str, cols: int) -> str:
    """`text` in place of the line that the cursor is in; cut, since a wrapped line can't be wiped."""
    return WIPE_LINE + text[: cols - 1]


def banner(text: str, cols: int) -> str:
    """`text` in the top row, inverted; the cursor stays where it is. It covers what the remote screen has there.

    The output may have stopped within a control sequence: the string terminator ends it, and is nothing elsewhere.
    """
    return f"\x1b\\\x1b7\x1b[1;1H\x1b[0;7m {text[: cols - 2]} \x1b[0m\x1b[K\x1b8"


def paragraph(text: str) -> str:
    """`text` in a line of its own, where the lines of a shell are."""
    return f"\x1b\\\r\n\x1b[0;7m {text} \x1b[0m\r\n"
