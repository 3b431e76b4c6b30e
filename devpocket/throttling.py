"""Rate limits (contract section 10): fixed windows counted in the cache, so that all processes share them.
Without the cache each process counts for itself.

A bucket is (requests, seconds) in settings.RATE_LIMITS. Counting is one atomic `incr`, which DRF's own
throttles (read, append, write back) are not: parallel requests slip through those.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import BaseCache
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from devpocket.cache import shared_or_own
from devpocket.counters import throttled
from devpocket.redis_cache import CountingRedisCache

for _bucket in settings.RATE_LIMITS:
    throttled.labels(_bucket)  # there from the start: rate() sees the first only where there was a 0 before


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one caller stands in one bucket, as the X-RateLimit headers tell it. `reset_at`: epoch seconds."""

    limit: int
    remaining: int
    reset_at: int
    allowed: bool


def client_address(request: HttpRequest) -> str:
    """The caller's IP address."""
    return address_behind(request.META.get("REMOTE_ADDR") or "", request.META.get("HTTP_X_FORWARDED_FOR", ""))


def address_behind(address: str, forwarded_for: str) -> str:
    """Who is behind `address`. X-Forwarded-For counts only hop by hop from TRUSTED_PROXIES, read from the right.

    A hop that is no address ends the walk: what lies beyond it is anybody's text.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",")]
    while hops and _is_trusted(address) and _is_address(hops[-1]):
        address = hops.pop()
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str) -> bool:
    return _is_address(address) and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
        for network in settings.TRUSTED_PROXIES
    )


def count(bucket: str, key: str) -> Standing:
    """Count one request of `key` in `bucket` and say whether it is still within the limit."""
    requests, window_s = settings.RATE_LIMITS[bucket]
    limit = max(1, int(requests * settings.THROTTLE_SCALE))
    window = int(time.time()) // window_s
    # Keys hold addresses and names: no place for them in a cache. JSON may escape half a surrogate pair.
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
    name = f"rate:{bucket}:{digest}:{window}"
    used = shared_or_own(lambda cache: _counted(cache, name, window_s + 5))
    return Standing(limit, max(0, limit - used), (window + 1) * window_s, used <= limit)


def _counted(cache: BaseCache, name: str, keep_s: int) -> int:
    """How often it was counted, with this time."""
    if isinstance(cache, CountingRedisCache):
        return cache.count(name, keep_s)
    cache.add(name, 0, timeout=keep_s)
    try:
        return int(cache.incr(name))
    except ValueError:  # evicted between the two calls: the window is at its end
        return 1


class Bucket(BaseThrottle):
    """One limit on a view. Subclasses say which bucket, and whose count it is."""

    bucket = "general"

    def key(self, request: Request, view: Any) -> str | None:
        """Whose requests are counted together; None: not counted here."""
        user = request.user
        return f"user:{user.pk}" if user.is_authenticated else f"ip:{client_address(request._request)}"

    def bucket_for(self, request: Request) -> str:
        return self.bucket

    def allow_request(self, request: Request, view: Any) -> bool:
        try:
            key = self.key(request, view)
        except APIException:  # a body that can't be read: counted by its sender, and refused for that
            self._count(request, f"ip:{client_address(request._request)}")
            raise
        return key is None or self._count(request, key)

    def _count(self, request: Request, key: str) -> bool:
        standing = count(self.bucket_for(request), key)
        self._wait_s = max(1.0, standing.reset_at - time.time())
        if not standing.allowed:
            throttled.labels(self.bucket_for(request)).inc()
        tightest: Standing | None = getattr(request._request, "rate_limit", None)
        if tightest is None or (standing.allowed, standing.remaining) < (tightest.allowed, tightest.remaining):
            request._request.rate_limit = standing  # type: ignore[attr-defined]  # the middleware turns it into headers
        return standing.allowed

    def wait(self) -> float:
        return self._wait_s


class AuthBucket(Bucket):
    """5/min per address and identifier, so that guessing one account's password is slow from one place."""

    bucket = "auth"

    def key(self, request: Request, view: Any) -> str | None:
        if request.user.is_authenticated:  # whatever else the body names
            return f"{client_address(request._request)}|{request.user.pk}"
        names = ("username_or_email", "email", "username")
        # Trimmed and lower-cased, as the serializers do: another spelling of a name is no further five tries.
        given = (request.data.get(name) for name in names)
        identifier = next((str(value).strip().lower() for value in given if value and isinstance(value, str | int)), "")
        return f"{client_address(request._request)}|{identifier}"


class AuthAddressBucket(Bucket):
    """30/min per address over all sign-in routes: phones share carrier addresses, so it is wider."""

    bucket = "auth_address"

    def key(self, request: Request, view: Any) -> str | None:
        return client_address(request._request)
