"""How many WebSockets a user or a guest link has open over all processes (contract 9.6), in the cache with an end.

A slot is a key taken by `add`, which one caller wins. Its holder renews it; a crashed process's slots free themselves.
While the cache is away each process counts for itself; what it let in takes its slot in the cache when that is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.cache import BaseCache, caches

from devpocket import stopping
from devpocket.cache import CacheAway, shared_or_own
from devpocket.tasks import TaskOwner

SLOT_S = 90  # a crash frees its slots by then
RENEW_S = 30

_held: dict[str, str] = {}  # what this process's sockets have: keys by connection


def slot_take(owner: str, connection_id: str) -> bool:
    """Whether there was a free slot of `owner` (whoever the connections are counted for); the connection has it now."""

    def take(cache: BaseCache) -> str | None:
        keys = [f"ws-slot:{owner}:{number}" for number in range(settings.WS_CONNECTIONS_PER_USER)]
        taken = cache.get_many(keys)  # not tried one by one: the last of ten slots would be ten trips away
        return next((key for key in keys if key not in taken and cache.add(key, connection_id, SLOT_S)), None)

    key = shared_or_own(take)
    if key is not None:
        _held[connection_id] = key
    return key is not None


def slot_renew(connection_id: str) -> None:
    """Keep the connection's slot, if it has one.

    One that ran out meanwhile, and that somebody else may have taken, is theirs together: nobody is sent away for it.
    """
    key = _held.get(connection_id)
    if key is not None:
        shared_or_own(lambda cache: cache.set(key, connection_id, SLOT_S))


def is_held(connection_id: str) -> bool:
    return connection_id in _held


def slot_free(connection_id: str) -> None:
    """Harmless for a connection that has none."""
    key = _held.pop(connection_id, None)
    if key is not None:
        _free({key: connection_id})


def slots_free_all() -> None:
    """This process's: it stops, and its clients come back to another one in a moment. Before any of them is told."""
    keys = {_held.pop(connection_id): connection_id for connection_id in list(_held)}
    _free(keys)


def _free(keys: dict[str, str]) -> None:
    """Connections by key. Also those in this process's own cache, from while the shared one was away."""
    for name in caches:
        with suppress(CacheAway):
            found = caches[name].get_many(list(keys))
            caches[name].delete_many([key for key, holder in found.items() if keys[key] == holder])


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """When the process is told to stop its sockets' slots are free at once, however long it takes to close them all."""
    tasks, loop = TaskOwner(), asyncio.get_running_loop()

    def free() -> None:
        tasks.start(database_sync_to_async(slots_free_all)(), name="slots-free")

    def wake() -> None:
        loop.call_soon_threadsafe(free)

    stopping.wakers.register(wake)
    try:
        yield
    finally:
        stopping.wakers.unregister(wake)
        await tasks.aclose()
