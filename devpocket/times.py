"""Times as they go over the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(at: datetime) -> str:
    """ISO 8601 in UTC with `Z` and at most 6 fraction digits. `at`: aware. Source: contract.md, section 1."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
