"""What to do while the cache that all processes share is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from django.core.cache import BaseCache, caches
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from devpocket.errors import AWAY_RETRY_S, UNAVAILABLE_TEXT, ServiceUnavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

AWAY_S = 1.0  # once it didn't answer nobody asks it for so long: one that hangs must not hold up everybody
LOCAL = "local"  # in settings.CACHES: this process's own

_away_until = 0.0  # time.monotonic


class CacheAway(ServiceUnavailable, RedisConnectionError):
    """The cache doesn't answer. Whoever can't do without it lets this through: it is a 503."""

    def __init__(self) -> None:
        super().__init__(UNAVAILABLE_TEXT, retry_after_s=AWAY_RETRY_S)


@contextmanager
def reaching() -> Iterator[None]:
    """Around what asks Redis. Raises: CacheAway, for what redis-py raises where it reaches no server."""
    global _away_until
    if time.monotonic() < _away_until:
        raise CacheAway
    try:
        yield
    except CacheAway:
        raise
    except (RedisConnectionError, RedisTimeoutError) as error:
        _away_until = time.monotonic() + AWAY_S
        log.warning("cache_away", error=type(error).__name__)
        raise CacheAway from error


def shared_or_own(work: Callable[[BaseCache], T]) -> T:
    """`work` with the shared cache; while that is away with one of this process's own, which is better than none."""
    try:
        return work(caches["default"])
    except CacheAway:
        return work(caches[LOCAL])
