"""How many WebSockets a user or a guest link has open over all processes (contract 9.6), in the cache with an end.

A slot is a key taken by `add`, which one caller wins. Its holder renews it; a crashed process's slots free themselves.
"""

from __future__ import annotations

from django.conf import settings
from django.core.cache import cache

SLOT_S = 90  # a crash frees its slots by then
RENEW_S = 30


def slot_take(owner: str, connection_id: str) -> str | None:
    """The key of a free slot of `owner` (whoever the connections are counted for), now taken; None where all are in
    use.
    """
    for number in range(settings.WS_CONNECTIONS_PER_USER):
        key = f"ws-slot:{owner}:{number}"
        if cache.add(key, connection_id, SLOT_S):
            return key
    return None


def slot_renew(key: str, connection_id: str) -> None:
    """Keep the slot; one that ran out meanwhile is taken again, unless somebody else was faster: it stays theirs."""
    if not cache.add(key, connection_id, SLOT_S) and cache.get(key) == connection_id:
        cache.touch(key, SLOT_S)


def slot_free(key: str, connection_id: str) -> None:
    if cache.get(key) == connection_id:
        cache.delete(key)
