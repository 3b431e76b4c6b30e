"""What must be looked at before output is sent that is not live any more. Pure.

A terminal answers some sequences. Asked again, or late, the answer lands in whatever program reads by then, as if the
user had typed it. Source: "XTerm Control Sequences"; kitty's keyboard protocol; ECMA-48.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CANCEL = b"\x18"  # ends a sequence of which a client has only the beginning

_QUERY = re.compile(
    rb"\x1b\[(?:"
    rb"[>=]?0?c"  # device attributes
    rb"|\??[0-9;]*n"  # status and cursor position
    rb"|\??[0-9;]*\$p"  # the state of a mode
    rb"|>[0-9]*q"  # name and version
    rb"|(?:1[1345689]|2[01])(?:;[0-9]*)*t"  # the window
    rb"|\?u"  # keyboard
    rb"|[01]?x"  # parameters
    rb"|#R)"
    rb"|\x1b\](?:4;[0-9]+|1[0-9]|5;[0-9]+|52;[a-z0-7]*);\?(?:;[0-9]+;\?)*(?:\x07|\x1b\\)"  # colours, the clipboard
    rb"|\x1bP(?:\+q|\$q)[^\x1b]*\x1b\\"  # capabilities, settings
    rb"|\x1bZ|\x05"  # identify, enquiry
)
# A sequence that isn't over at the end of the bytes, and one that is whole. A string (OSC, DCS, ...) has a terminator.
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]+|[\]PX^_][^\x07\x1b\x18]*\x1b?)?\Z")
_WHOLE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x18]*(?:\x07|\x1b\\|\x18)|[ -/]+[0-~]|[^ -/\[\]PX^_])"
)
_LOOK_BACK_BYTES = 4096  # the longest sequence that is found to be cut
_LOOK_AHEAD_BYTES = 64 * 1024  # and how long the rest of a string may be


def queries(data: bytes) -> Iterator[tuple[int, int]]:
    """Where in `data` a terminal is asked something: begin and end of each."""
    return (match.span() for match in _QUERY.finditer(data))


def first_whole(before: bytes, data: bytes) -> int:
    """How much of the beginning of `data` to leave out so that it begins with no part of a sequence or a character.

    `before`: the bytes that came just before it.
    """
    skip = 0
    begun = _BEGUN.search(before[-_LOOK_BACK_BYTES:])
    if begun is not None:
        whole = _WHOLE.match(begun.group() + data[:_LOOK_AHEAD_BYTES])
        skip = 0 if whole is None else whole.end() - len(begun.group())
    while skip < min(len(data), 4) and 0x80 <= data[skip] < 0xC0:
        skip += 1  # the rest of a character
    return skip
