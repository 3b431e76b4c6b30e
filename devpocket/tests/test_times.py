"""Times as they go over the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from devpocket.times import time_text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
        (datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC), "2026-01-31T12:00:00.000005Z"),
        (datetime(2026, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-30T23:00:00Z"),
    ],
)
def test_a_time_is_in_utc_whatever_its_zone(at: datetime, text: str) -> None:
    assert time_text(at) == text
