"""What this process counts of requests, for `GET /metrics` (docs/watching.md has the table).

Labels have closed sets of values: a route is its pattern, never a path that somebody asked for.
"""

from __future__ import annotations

import functools

from django.contrib.admindocs.views import simplify_regex
from django.http import HttpRequest
from prometheus_client import Counter, Histogram

_requests = Counter(
    "devpocket_requests_total", "Requests by method, route and class of their status.", ["method", "route", "status"]
)
_request_s = Histogram(
    "devpocket_request_seconds",
    "From a request's head to its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30),
)
throttled = Counter(
    "devpocket_throttled_total", "Requests refused with 429, by the rate limit that they were over.", ["bucket"]
)

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def request_answered(request: HttpRequest, status: int, seconds: float) -> None:
    """Count a request that has its answer; 499 where nobody waited for it."""
    method = request.method if request.method in METHODS else "other"
    route = route_of(getattr(request.resolver_match, "route", None))
    _series(method, route).observe(seconds)
    _requests.labels(method, route, f"{status // 100}xx").inc()


def request_refused(status: int) -> None:
    """Count one that was cut off before it was whole."""
    _requests.labels("other", "none", f"{status // 100}xx").inc()


@functools.cache
def _series(method: str, route: str) -> Histogram:
    _requests.labels(
        method, route, "5xx"
    )  # there from the start: rate() sees the first only where there was a 0 before
    return _request_s.labels(method, route)


@functools.cache
def route_of(pattern: str | None) -> str:
    """A URL pattern as people write it; all of the admin is one. None: refused before, or a file."""
    if pattern is None:
        return "none"
    if pattern == "":
        return "unknown"
    if pattern.startswith("admin"):
        return "/admin"
    return str(simplify_regex(pattern)).removesuffix("/")
