"""Request limits, and the counting of requests."""

import time
from typing import Any

from environments.localcloud.ratelimit import RateLimiter
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, faster
from environments.localcloud.traffic import REQUESTS_KEPT, Traffic


def test_the_busiest_minute_is_exact() -> None:
    now = [0.0]
    traffic = Traffic(clock=lambda: now[0])
    assert traffic.busiest() == {"requests": 0, "until": None, "total": 0}
    for at in (0, 10, 59, 60, 61, 200, 201):
        now[0] = at
        traffic.note("GET", "/v2/sizes", {})
    assert traffic.busiest() == {"requests": 4, "until": 61, "total": 7}
    for _ in range(REQUESTS_KEPT + 1):
        traffic.note("GET", "/v2/sizes", {})
    assert len(traffic.requests) == REQUESTS_KEPT
    assert traffic.busiest() == {"requests": REQUESTS_KEPT + 3, "until": 201, "total": REQUESTS_KEPT + 8}


async def test_requests_can_be_counted(api: Api) -> None:
    await api.ok("GET", "/v2/sizes?page=1")
    await api.call("GET", "/v2/none")
    shown = (await api.ok("GET", "/_localcloud/requests"))["requests"]
    assert [(r["method"], r["path"], r["query"], r["status"]) for r in shown] == [
        ("GET", "/v2/sizes", {"page": "1"}, 200),
        ("GET", "/v2/none", {}, 404),
    ]
    busiest = await api.ok("GET", "/_localcloud/busiest")
    assert (busiest["requests"], busiest["total"]) == (2, 2)
    assert busiest["until"] == shown[-1]["time"]
    await api.ok("DELETE", "/_localcloud/requests")
    assert (await api.ok("GET", "/_localcloud/requests"))["requests"] == []


async def test_requests_over_the_limit_are_refused(settings: Settings, validator: Any) -> None:
    async with running(faster(settings, per_minute=3, per_hour=5000, key_lists_per_minute=1)) as cloud:
        api = Api(cloud.url, validator)
        assert (await api.call("GET", "/v2/account/keys")).headers["ratelimit-remaining"] == "4999"
        assert (await api.call("GET", "/v2/account/keys")).status == 429
        await api.ok("GET", "/v2/sizes")
        await api.ok("GET", "/v2/sizes")
        answer = await api.call("GET", "/v2/sizes")
        assert (answer.status, answer.body["id"]) == (429, "too_many_requests")
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit-remaining"] == "0"
        await api.ok("GET", "/_localcloud/requests")


async def test_the_hourly_limit_names_no_waiting_time(settings: Settings, validator: Any) -> None:
    async with running(faster(settings, per_hour=2)) as cloud:
        api = Api(cloud.url, validator)
        before = time.time()
        first = await api.call("GET", "/v2/sizes")
        assert [first.headers[f"ratelimit-{name}"] for name in ("limit", "remaining")] == ["2", "1"]
        await api.call("GET", "/v2/none")
        answer = await api.call("GET", "/v2/sizes")
        assert (answer.status, answer.body["id"], "retry-after" in answer.headers) == (429, "too_many_requests", False)
        assert answer.headers["ratelimit-remaining"] == "0"
        assert before + 3600 <= int(answer.headers["ratelimit-reset"]) <= time.time() + 3601


def test_the_windows_slide() -> None:
    now = [1000.0]
    limiter = RateLimiter(per_minute=2, per_hour=3, key_lists_per_minute=1, clock=lambda: now[0])
    assert limiter.admit().allowed
    now[0] += 30
    assert limiter.admit().allowed
    verdict = limiter.admit()
    assert not verdict.allowed
    assert verdict.headers["retry-after"] == "30"
    now[0] += 30
    assert limiter.admit().allowed
    now[0] += 60
    verdict = limiter.admit()
    assert (verdict.allowed, "retry-after" in verdict.headers) == (False, False), "the hour's limit names no time"
    assert verdict.headers["ratelimit-reset"] == str(1000 + 3600)
    now[0] = 1000 + 3600
    assert limiter.admit(lists_keys=True).allowed
