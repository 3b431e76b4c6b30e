"""Django's cache on Redis, which also counts in one trip instead of three."""

from __future__ import annotations

from django.core.cache.backends.redis import RedisCache


class CountingRedisCache(RedisCache):
    def count(self, key: str, timeout: int) -> int:
        """Add one to `key`, which begins at 0 and is kept for `timeout` seconds; what it then is. Atomic."""
        key = self.make_and_validate_key(key)
        with self._cache.get_client(key, write=True).pipeline(transaction=False) as trip:
            trip.set(key, 0, ex=timeout, nx=True)
            trip.incr(key)
            _, counted = trip.execute()
        return int(counted)
