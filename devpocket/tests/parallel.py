"""Doing the same thing in many threads at once, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.core.cache import caches
from django.db import connections

T = TypeVar("T")


def _close_caches() -> None:
    """Django keeps a Redis pool for each thread and has no way to close one."""
    for cache in caches.all(initialized_only=True):
        for pool in getattr(getattr(cache, "_cache", None), "_pools", {}).values():
            pool.disconnect()


def in_parallel(work: Callable[[int], T], *, count: int) -> list[T]:
    """What `work(0)` ... `work(count - 1)` gave, all of them begun together."""
    barrier = threading.Barrier(count, timeout=10)

    def one(index: int) -> T:
        try:
            barrier.wait()
            return work(index)
        finally:
            connections.close_all()
            _close_caches()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
