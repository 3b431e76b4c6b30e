"""How many WebSockets a user or a guest link has open over all processes (contract 9.6), in the cache with an end.

A slot is a key taken by `add`, which one caller wins. Its holder renews it; a crashed process's slots free themselves.
While the cache is away each process counts for itself; what it let in takes its slot in the cache when that is back.
"""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings
from django.core.cache import BaseCache, caches

from devpocket.cache import CacheAway, shared_or_own

SLOT_S = 90  # a crash frees its slots by then
RENEW_S = 30


def slot_take(owner: str, connection_id: str) -> str | None:
    """The key of a free slot of `owner` (whoever the connections are counted for), now taken; None where all are in
    use.
    """

    def take(cache: BaseCache) -> str | None:
        for number in range(settings.WS_CONNECTIONS_PER_USER):
            key = f"ws-slot:{owner}:{number}"
            if cache.add(key, connection_id, SLOT_S):
                return key
        return None

    return shared_or_own(take)


def slot_renew(key: str, connection_id: str) -> None:
    """Keep the slot; one that ran out meanwhile is taken again, unless somebody else was faster: it stays theirs."""

    def renew(cache: BaseCache) -> None:
        if not cache.add(key, connection_id, SLOT_S) and cache.get(key) == connection_id:
            cache.touch(key, SLOT_S)

    shared_or_own(renew)


def slot_free(key: str, connection_id: str) -> None:
    """Also the one in this process's own cache, from while the shared one was away."""
    for name in caches:
        with suppress(CacheAway):
            if caches[name].get(key) == connection_id:
                caches[name].delete(key)
