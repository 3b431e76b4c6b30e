"""How the API is described (drf-spectacular)."""

from __future__ import annotations

from collections.abc import Callable

Endpoint = tuple[str, str, str, Callable[..., object]]  # path, path as a pattern, method, view


def without_trailing_slashes(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Every route answers with and without; the shorter one is shown."""
    return [(path.rstrip("/"), pattern, method, view) for path, pattern, method, view in endpoints]
