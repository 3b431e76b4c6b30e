"""How long to wait before each further try. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

FIRST_S, LONGEST_S = 0.3, 10.0


def delays() -> Iterator[float]:
    """Seconds: doubling, and each between half and all of it, so that cut clients don't all return at once."""
    longest = FIRST_S
    while True:
        yield longest * random.uniform(0.5, 1)  # noqa: S311 -- spreads load, hides nothing
        longest = min(longest * 2, LONGEST_S)
