"""What a client asks of the logs' WebSocket. Pure. Source: contract section 9.5."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

LINES_DEFAULT, LINES_MAX = 100, 1000


@dataclass(frozen=True, slots=True)
class LogsQuery:
    """`lines`: of history, 0 to 1000. `follow` False: nothing but the history."""

    follow: bool
    lines: int


def parse_logs_query(query_string: bytes) -> LogsQuery:
    """Total: a number out of range is brought into it, and what is none is as if it weren't there.

    Not refused: a client that redials would be refused for ever.
    """
    query = {name: values[-1] for name, values in parse_qs(query_string.decode("latin-1")).items()}
    lines = query.get("lines", "").strip()
    digits = lines.removeprefix("-")
    return LogsQuery(
        follow=query.get("follow", "").strip().lower() not in {"false", "0", "no", "off"},
        lines=_within(lines) if digits.isascii() and digits.isdigit() else LINES_DEFAULT,
    )


def _within(lines: str) -> int:
    """0 for a negative one; of many digits the first say enough."""
    return 0 if lines.startswith("-") else min(LINES_MAX, int(lines.lstrip("0")[:5] or "0"))
