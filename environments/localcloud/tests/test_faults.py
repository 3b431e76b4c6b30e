"""Misbehaviour on demand, and changes from outside."""

import asyncio
import time
from typing import Any

import pytest
import requests

from environments.localcloud.faults import BadFault, Faults, parse_header
from environments.localcloud.ratelimit import RateLimiter
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Answer, Api, Box, eventually, faster, subprocess_cloud


async def add(api: Api, **rule: Any) -> Any:
    return (await api.ok("POST", "/_localcloud/faults", rule))["fault"]


async def test_a_lost_answer_acts_and_then_cuts_the_connection(api: Api) -> None:
    with pytest.raises(requests.ConnectionError):
        await api.call("POST", "/v2/tags", {"name": "made"}, fault="lose_answer")
    assert (await api.ok("GET", "/v2/tags/made"))["tag"]["name"] == "made"
    with pytest.raises(requests.ConnectionError):
        await api.call("GET", "/v2/droplets/1", fault="lose_answer")


async def test_a_status_can_be_had_without_effect(api: Api) -> None:
    for status in (429, 500, 503):
        answer = await api.call("POST", "/v2/tags", {"name": "none"}, fault=f"status={status}")
        assert answer.status == status
    assert "retry-after" in answer.headers
    assert (await api.call("GET", "/v2/tags/none")).status == 404


async def test_slow_and_hanging_answers(api: Api) -> None:
    started = time.monotonic()
    await api.ok("GET", "/v2/sizes", fault="slow=0.2")
    assert time.monotonic() - started >= 0.2
    hanging = asyncio.create_task(api.call("GET", "/v2/sizes", fault="hang"))
    await api.ok("GET", "/v2/regions", fault="slow=0.1")
    assert not hanging.done()
    hanging.cancel()  # its thread ends when the server does


async def test_requests_under_way_do_not_keep_the_server(settings: Settings) -> None:
    async with subprocess_cloud(settings) as run:
        host, port = run.api.url.removeprefix("http://").split(":")
        _, half = await asyncio.open_connection(host, int(port))
        half.write(b"POST /v2/tags HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        waiting = [asyncio.create_task(run.api.call("GET", "/v2/sizes", fault=fault)) for fault in ("hang", "slow=60")]

        async def are_there() -> bool:
            return len((await run.api.ok("GET", "/_localcloud/requests"))["requests"]) == 3

        assert await eventually(are_there)
        async with asyncio.timeout(3):
            assert await run.end() == 0
        assert run.process.stderr
        assert await run.process.stderr.read() == b""
        half.close()
        hung, slow = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(hung, requests.ConnectionError)
        assert isinstance(slow, Answer)


async def test_actions_can_fail_and_droplets_never_boot(api: Api, box: Box) -> None:
    path = f"/v2/droplets/{box.id}/actions"
    action = await api.ok("POST", path, {"type": "power_off"}, fault="action_error")
    assert (await api.until_ended(action["action"]["id"]))["status"] == "errored"
    assert (await api.droplet(box.id))["status"] == "active"

    await add(api, fault="action_error", method="post", path="^/v2/droplets$")
    failed = await api.create("failed")
    actions = (await api.ok("GET", f"/v2/droplets/{failed}/actions"))["actions"]
    assert (await api.until_ended(actions[0]["id"]))["status"] == "errored"

    await add(api, fault="never_active", path="^/v2/droplets$")
    stuck = await api.create("stuck")
    assert (await api.until_status(await api.create("other"), "active"))["name"] == "other"
    assert (await api.droplet(stuck))["status"] == "new"
    await api.ok("DELETE", f"/v2/droplets/{stuck}")


async def test_droplets_can_vanish_and_be_powered_off_by_others(api: Api, box: Box) -> None:
    assert (await api.call("GET", f"/v2/droplets/{box.id}", fault="vanish")).status == 200
    assert await api.droplet(box.id) is None
    await add(api, fault="vanish", method="POST")
    assert await api.droplet(await api.create()) is None

    droplet_id = await api.create("other")
    await api.until_status(droplet_id, "active")
    await api.ok("POST", f"/_localcloud/droplets/{droplet_id}/poweroff")
    assert (await api.droplet(droplet_id))["status"] == "off"
    assert len((await api.ok("GET", f"/v2/droplets/{droplet_id}/actions"))["actions"]) == 1
    await api.ok("POST", f"/_localcloud/droplets/{droplet_id}/vanish")
    assert await api.droplet(droplet_id) is None
    assert (await api.call("POST", f"/_localcloud/droplets/{droplet_id}/vanish")).status == 404


async def test_rules_count_down_and_can_be_cleared(api: Api) -> None:
    rule = await add(api, fault="status", status=500, path="sizes", count=2)
    assert rule["count"] == 2
    answers = [(await api.call("GET", path)).status for path in ("/v2/sizes", "/v2/regions", "/v2/sizes", "/v2/sizes")]
    assert answers == [500, 200, 500, 200]
    await add(api, fault="hang")
    assert len((await api.ok("GET", "/_localcloud/faults"))["faults"]) == 1
    await api.ok("DELETE", "/_localcloud/faults")
    await api.ok("GET", "/v2/sizes")
    for bad in ({"fault": "melt"}, {"fault": "status", "status": 200}, {"fault": "hang", "count": 0},
                {"fault": "hang", "path": "("}, {"fault": "hang", "probability": 2}):  # fmt: skip
        assert (await api.call("POST", "/_localcloud/faults", bad)).status == 422
    assert (await api.call("GET", "/v2/sizes", fault="melt")).status == 400


async def test_requests_can_be_counted(api: Api) -> None:
    await api.ok("GET", "/v2/sizes?page=1")
    await api.call("GET", "/v2/none")
    shown = (await api.ok("GET", "/_localcloud/requests"))["requests"]
    assert [(r["method"], r["path"], r["query"], r["status"]) for r in shown] == [
        ("GET", "/v2/sizes", {"page": "1"}, 200),
        ("GET", "/v2/none", {}, 404),
    ]
    await api.ok("DELETE", "/_localcloud/requests")
    assert (await api.ok("GET", "/_localcloud/requests"))["requests"] == []


def test_probability_and_headers() -> None:
    faults = Faults()
    faults.add({"fault": "hang", "probability": 0.5, "count": 1000})
    taken = [faults.take("GET", "/", None) for _ in range(200)]
    assert 0 < sum(fault is not None for fault in taken) < 200
    assert parse_header('{"fault": "status", "status": 429}').status == 429
    for bad in ("", "{", "status=x", "slow=-1"):
        with pytest.raises(BadFault):
            parse_header(bad)


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


async def test_a_request_that_is_cut_short_does_nothing(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v2/tags HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\nContent-Length: 99\r\n\r\n".encode()
        + b'{"name": "half"}'
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await api.ok("GET", "/v2/sizes", fault="slow=0.05")

    async def is_absent() -> bool:
        return (await api.call("GET", "/v2/tags/half")).status == 404

    assert await eventually(is_absent)
