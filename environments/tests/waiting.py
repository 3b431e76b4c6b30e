"""Waiting for the thing itself, in tests without an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(look: Callable[[], T], holds: Callable[[T], bool], *, limit_s: float = 10) -> T:
    """Look again and again; what was seen when the condition held. Raises: AssertionError after `limit_s`."""
    give_up_at = time.monotonic() + limit_s
    while not holds(seen := look()):
        assert time.monotonic() < give_up_at, f"still {seen}"
        time.sleep(0.02)
    return seen
