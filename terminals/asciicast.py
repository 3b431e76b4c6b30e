"""Recordings of terminals as asciicast v2: a header, then one JSON array a line. Pure.

Source: https://docs.asciinema.org/manual/asciicast/v2/
"""

from __future__ import annotations

import codecs
import json


def header(cols: int, rows: int, *, timestamp: int, title: str) -> bytes:
    """The first line. `timestamp`: when it began, in seconds of Unix time; sizes in character cells."""
    fields = {
        "version": 2,
        "width": cols,
        "height": rows,
        "timestamp": timestamp,
        "title": title,
        "env": {"TERM": "xterm-256color"},
    }
    return json.dumps(fields).encode() + b"\n"


class Events:
    """The lines after the header. `at`: readings in seconds of one clock that never goes back, as `began_at` is.

    A character whose bytes come in parts is in the event that brings its last one; invalid bytes become U+FFFD.
    """

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def output(self, at: float, data: bytes) -> bytes:
        """A line, or nothing where `data` has no whole character."""
        text = self._decoder.decode(data)
        return self._line(at, "o", text) if text else b""

    def resized(self, at: float, cols: int, rows: int) -> bytes:
        return self._line(at, "r", f"{cols}x{rows}")

    def end(self, at: float) -> bytes:
        """What is left of a character that never became whole."""
        text = self._decoder.decode(b"", final=True)
        return self._line(at, "o", text) if text else b""

    def _line(self, at: float, kind: str, text: str) -> bytes:
        event = [round(at - self._began_at, 6), kind, text]
        return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def duration_s(last_line: bytes) -> float:
    """How long a recording lasts whose last line this is; 0 for one that has but its header."""
    event = json.loads(last_line)
    return float(event[0]) if isinstance(event, list) else 0.0
