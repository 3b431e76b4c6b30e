"""Which numbered input of a stream was applied, for whichever process its client returns to. Sync: asks the cache.

Without it a client that was cut off can't know whether its last words arrived: sent again they might be run twice, and
not sent again not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache

from terminals.stream import Place


@dataclass(frozen=True, slots=True)
class Applied:
    """`seq`: the last that was applied. `is_final`: nothing more will be by whoever wrote this."""

    seq: int
    is_final: bool


def applied_store(stream_id: str, place: Place, applied: Applied) -> None:
    cache.set(_key(stream_id), (_name(place), applied.seq, applied.is_final), settings.TERMINAL_RESUME_SECONDS)


def find_applied(stream_id: str, place: Place) -> Applied | None:
    """None: the stream is not known (any more), its input had no numbers, or it isn't this place's."""
    found = cache.get(_key(stream_id))
    if not found or found[0] != _name(place):
        return None
    return Applied(found[1], found[2])


def _key(stream_id: str) -> str:
    return f"ws-input:{stream_id}"


def _name(place: Place) -> str:
    return f"{place.environment_id}/{place.session}/{place.is_view}"
