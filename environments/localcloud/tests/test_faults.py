"""Misbehaviour on demand, and changes from outside."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
import requests

from environments.localcloud.faults import BadFault, Fault, Faults, parse_header
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import (
    IMAGE,
    REGION,
    SIZE,
    Answer,
    Api,
    Box,
    eventually,
    subprocess_cloud,
)

NEW = {"name": "late", "size": SIZE, "image": IMAGE, "region": REGION}


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


async def test_a_hanging_request_can_be_cut_after_a_while(api: Api) -> None:
    started = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        await api.call("POST", "/v2/tags", {"name": "none"}, fault="hang=0.1")
    assert 0.1 <= time.monotonic() - started < 5
    assert (await api.call("GET", "/v2/tags/none")).status == 404


async def test_a_gateway_can_answer_in_html(api: Api) -> None:
    def send() -> requests.Response:
        headers = {"Authorization": f"Bearer {api.token}", "X-Localcloud-Fault": "html"}
        with requests.Session() as session:
            return session.post(f"{api.url}/v2/tags", json={"name": "none"}, headers=headers, timeout=5)

    answer = await asyncio.to_thread(send)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert "ratelimit-limit" not in answer.headers
    assert "<h1>502 Bad Gateway</h1>" in answer.text
    assert (await api.call("GET", "/v2/tags/none")).status == 404


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


async def test_an_action_that_hangs_blocks_its_droplet(api: Api, box: Box) -> None:
    path = f"/v2/droplets/{box.id}/actions"

    async def hang(path: str, **body: Any) -> int:
        return int((await api.ok("POST", path, body, fault="action_hang"))["action"]["id"])

    async def is_pending() -> bool:
        answer = await api.call("POST", path, {"type": "power_on"})
        return (answer.status, (answer.body or {}).get("message")) == (422, "Droplet already has a pending event.")

    first = await hang(path, type="power_off")
    await api.ok("GET", "/v2/sizes", fault="slow=0.1")  # longer than an action takes
    assert (await api.ok("GET", f"/v2/actions/{first}"))["action"]["status"] == "in-progress"
    assert (await api.droplet(box.id))["status"] == "active"
    assert await is_pending()
    await api.ok("POST", f"/_localcloud/droplets/{box.id}/poweroff")
    assert (await api.until_ended(first))["status"] == "errored"
    await api.act(box.id, "power_on")

    volume = await api.volume("data")
    attach = await hang(f"/v2/volumes/{volume}/actions", type="attach", droplet_id=box.id)
    again = {"type": "attach", "droplet_id": box.id}
    assert (await api.call("POST", f"/v2/volumes/{volume}/actions", again)).status == 422
    second = await hang(path, type="snapshot", name="never")
    await api.ok("DELETE", f"/v2/droplets/{box.id}")
    for action in (attach, second):
        assert (await api.until_ended(action))["status"] == "errored"
    assert await api.is_free(volume)
    assert (await api.ok("GET", "/v2/snapshots"))["snapshots"] == []


async def test_an_action_still_hangs_after_a_restart(settings: Settings, validator: Any) -> None:
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        droplet = await api.create()
        await api.until_status(droplet, "active")
        path = f"/v2/droplets/{droplet}/actions"
        action = (await api.ok("POST", path, {"type": "power_off"}, fault="action_hang"))["action"]
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        await api.ok("GET", "/v2/sizes", fault="slow=0.1")
        assert (await api.ok("GET", f"/v2/actions/{action['id']}"))["action"] == action
        assert (await api.droplet(droplet))["status"] == "active"


async def test_a_create_that_hangs_leaves_the_droplet_new(api: Api) -> None:
    await add(api, fault="action_hang")
    stuck = await api.create("stuck")
    await api.until_status(await api.create("other"), "active")
    assert (await api.droplet(stuck))["status"] == "new"
    answer = await api.call("POST", f"/v2/droplets/{stuck}/actions", {"type": "power_on"})
    assert answer.status == 422
    await api.ok("DELETE", f"/v2/droplets/{stuck}")


async def test_an_action_can_be_refused_as_if_another_were_pending(api: Api, box: Box) -> None:
    answer = await api.call("POST", f"/v2/droplets/{box.id}/actions", {"type": "power_off"}, fault="pending")
    assert (answer.status, answer.body["message"]) == (422, "Droplet already has a pending event.")
    assert (await api.ok("GET", f"/v2/droplets/{box.id}/actions"))["meta"]["total"] == 1


async def test_what_was_created_can_be_late_in_lists(api: Api, box: Box) -> None:
    late = {"fault": "late_listing=0.4"}
    droplet = await api.ok("POST", "/v2/droplets", {**NEW, "tags": ["late"]}, **late)
    volume = await api.ok("POST", "/v2/volumes", {"name": "late", "size_gigabytes": 1, "region": REGION}, **late)
    path = f"/v2/volumes/{volume['volume']['id']}"
    saved = await api.ok("POST", f"{path}/snapshots", {"name": "late"}, **late)
    action = await api.ok("POST", f"/v2/droplets/{box.id}/actions", {"type": "snapshot", "name": "late"}, **late)
    shown = {"/v2/droplets?name=late": "droplets", "/v2/droplets?tag_name=late": "droplets",
             f"/v2/volumes?name=late&region={REGION}": "volumes", "/v2/snapshots?resource_type=volume": "snapshots",
             f"{path}/snapshots": "snapshots"}  # fmt: skip
    for listing, key in shown.items():
        assert (await api.ok("GET", listing))[key] == [], listing
    for by_id in (f"/v2/droplets/{droplet['droplet']['id']}", path, f"/v2/snapshots/{saved['snapshot']['id']}"):
        await api.ok("GET", by_id)
    await api.until_ended(action["action"]["id"])
    assert (await api.droplet(box.id))["snapshot_ids"] == []
    shown |= {"/v2/images?private=true": "images", f"/v2/droplets/{box.id}/snapshots": "snapshots"}

    async def are_listed() -> bool:
        return all([len((await api.ok("GET", listing))[key]) == 1 for listing, key in shown.items()])

    assert await eventually(are_listed)
    assert len((await api.droplet(box.id))["snapshot_ids"]) == 1


async def test_the_resize_of_an_attached_volume_can_be_refused(api: Api, box: Box) -> None:
    volume = await api.volume("data")
    path = f"/v2/volumes/{volume}/actions"
    await add(api, fault="refuse_attached", count=0)
    await api.ok("POST", path, {"type": "resize", "size_gigabytes": 11})
    attach = await api.ok("POST", path, {"type": "attach", "droplet_id": box.id}, fault="slow=0.1")
    await api.until_ended(attach["action"]["id"])
    answer = await api.call("POST", path, {"type": "resize", "size_gigabytes": 12})
    assert (answer.status, "attached" in answer.body["message"]) == (422, True)
    assert (await api.ok("GET", "/_localcloud/faults"))["given"] == {"slow": 1, "refuse_attached": 1}


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
    for bad in ({"fault": "melt"}, {"fault": "status", "status": 200}, {"fault": "hang", "count": -1},
                {"fault": "hang", "path": "("}, {"fault": "hang", "probability": 2}):  # fmt: skip
        assert (await api.call("POST", "/_localcloud/faults", bad)).status == 422
    assert (await api.call("GET", "/v2/sizes", fault="melt")).status == 400


async def test_only_faults_that_happened_are_counted(api: Api, box: Box) -> None:
    await add(api, fault=["action_error", "never_active", "vanish"], count=0)
    path = f"/v2/droplets/{box.id}/actions"
    await api.ok("GET", "/v2/sizes")
    assert (await api.call("POST", "/v2/droplets", {**NEW, "size": "none"})).status == 422
    assert (await api.ok("GET", "/_localcloud/faults"))["given"] == {}
    await api.ok("DELETE", "/_localcloud/faults")
    await add(api, fault="action_error", type="reboot")
    assert (await api.call("POST", path, {"type": "snapshot", "name": "x"})).status == 201
    await api.until_ended((await api.ok("GET", f"{path}"))["actions"][0]["id"])
    assert (await api.act(box.id, "reboot"))["status"] == "errored"
    shown = await api.ok("GET", "/_localcloud/faults")
    assert shown == {"faults": [], "given": {"action_error": 1}}
    log = (await api.ok("GET", "/_localcloud/requests"))["requests"]
    assert [entry["fault"] for entry in log if entry["fault"]] == ["action_error"]


def test_one_rule_can_give_every_kind() -> None:
    faults = Faults(seed=1)
    kinds = ["lose_answer", {"fault": "hang", "seconds": 9}, "slow", {"fault": "status", "status": 429}, "action_error"]
    rule = faults.add({"fault": kinds, "probability": 0.2, "count": None, "seconds": 0.5})
    assert rule.as_json()["fault"] == [
        {"fault": "lose_answer", "status": 503, "seconds": 0.5},
        {"fault": "hang", "status": 503, "seconds": 9},
        {"fault": "slow", "status": 503, "seconds": 0.5},
        {"fault": "status", "status": 429, "seconds": 0.5},
        {"fault": "action_error", "status": 503, "seconds": 0.5},
    ]

    def draw(faults: Faults, method: str, path: str) -> Counter[str | None]:
        taken = (faults.take(method, path, action_type="reboot" if method == "POST" else "") for _ in range(2000))
        return Counter(fault.kind if fault else None for fault in taken)

    reads = draw(faults, "GET", "/v2/droplets")
    acts = draw(faults, "POST", "/v2/droplets/1/actions")
    assert set(reads) == {None, "lose_answer", "hang", "slow", "status"}
    assert set(acts) == {*reads, "action_error"}
    for drawn in (reads, acts):
        assert 300 < 2000 - drawn[None] < 500, "a fifth of the calls, whatever can happen to them"
    assert faults.rules() == [rule]
    same = Faults(seed=1)
    same.add({"fault": kinds, "probability": 0.2, "count": 0})
    assert draw(same, "GET", "/v2/droplets") == reads, "the seed repeats it"
    bad: Any
    for bad in ([], [[]], ["melt"], [{"fault": "slow", "seconds": "x"}], {"fault": "hang"}):
        with pytest.raises(BadFault):
            faults.add({"fault": bad})


def test_probability_and_headers() -> None:
    faults = Faults()
    faults.add({"fault": "hang", "probability": 0.5, "count": 1000})
    taken = [faults.take("GET", "/", None) for _ in range(200)]
    assert 0 < sum(fault is not None for fault in taken) < 200
    assert parse_header('{"fault": "status", "status": 429}').status == 429
    for bad in ("", "{", "status=x", "slow=-1"):
        with pytest.raises(BadFault):
            parse_header(bad)


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


@pytest.mark.parametrize(
    ("kind", "method", "path", "action_type", "fits"),
    [
        ("pending", "POST", "/v2/droplets/1/actions", "reboot", True),
        ("pending", "POST", "/v2/droplets/actions", "reboot", True),
        ("pending", "GET", "/v2/droplets/1/actions", "", False),
        ("action_hang", "POST", "/v2/volumes/x/actions", "attach", True),
        ("action_hang", "POST", "/v2/droplets", "", True),
        ("action_error", "POST", "/v2/volumes", "", False),
        ("never_active", "POST", "/v2/droplets", "", True),
        ("never_active", "POST", "/v2/droplets/1/actions", "rebuild", False),
        ("late_listing", "POST", "/v2/volumes", "", True),
        ("late_listing", "POST", "/v2/droplets/1/actions", "snapshot", True),
        ("late_listing", "POST", "/v2/droplets/1/actions", "reboot", False),
        ("late_listing", "POST", "/v2/volumes/x/snapshots", "", True),
        ("vanish", "GET", "/v2/droplets/1", "", True),
        ("vanish", "POST", "/v2/droplets/1/actions", "reboot", True),
        ("vanish", "GET", "/v2/droplets", "", False),
        ("vanish", "DELETE", "/v2/droplets/1", "", False),
        ("refuse_attached", "POST", "/v2/volumes/x/actions", "detach", False),
    ],
)
def test_a_fault_meets_only_what_it_can_happen_to(
    kind: str, method: str, path: str, action_type: str, fits: bool
) -> None:
    assert Fault(kind).fits(method, path, action_type) is fits
