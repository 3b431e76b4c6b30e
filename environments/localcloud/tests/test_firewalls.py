"""Firewalls."""

from dataclasses import replace
from typing import Any

from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, eventually

SSH = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0", "::/0"]}}
OUT = {"protocol": "udp", "ports": "1-65535", "destinations": {"addresses": ["10.0.0.1"]}}
PING = {"protocol": "icmp", "ports": "0", "sources": {"addresses": ["0.0.0.0/0"]}}


async def create(api: Api, name: str = "edge", **fields: Any) -> Any:
    return (await api.ok("POST", "/v2/firewalls", {"name": name, "inbound_rules": [SSH], **fields}))["firewall"]


async def get(api: Api, firewall: Any) -> Any:
    return (await api.ok("GET", f"/v2/firewalls/{firewall['id']}"))["firewall"]


async def test_a_firewall_waits_and_then_is_in_force(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, action_s=0.2)) as cloud:
        api = Api(cloud.url, validator)
        droplet = await api.create()
        firewall = await create(api, droplet_ids=[droplet])
        waiting = [{"droplet_id": droplet, "removing": False, "status": "waiting"}]
        assert (firewall["status"], firewall["pending_changes"]) == ("waiting", waiting)

        async def is_in_force() -> bool:
            shown = await get(api, firewall)
            return (shown["status"], shown["pending_changes"]) == ("succeeded", [])

        assert await eventually(is_in_force)
        await api.ok("DELETE", f"/v2/firewalls/{firewall['id']}/droplets", {"droplet_ids": [droplet]})
        assert (await get(api, firewall))["pending_changes"] == [{**waiting[0], "removing": True}]


async def test_a_firewall_is_for_droplets_and_for_tags(api: Api) -> None:
    web, tagged = await api.create("web"), await api.create("tagged", tags=["group"])
    firewall = await create(api, tags=["Group"])
    path = f"/v2/firewalls/{firewall['id']}"

    async def members() -> list[int]:
        found = []
        for droplet in (web, tagged):
            shown = (await api.ok("GET", f"/v2/droplets/{droplet}/firewalls"))["firewalls"]
            found += [droplet] if shown else []
        return found

    assert await members() == [tagged]
    await api.ok("POST", f"{path}/droplets", {"droplet_ids": [web, web]})
    assert await members() == [web, tagged]
    await api.ok("DELETE", f"{path}/tags", {"tags": ["group"]})
    assert await members() == [web]
    await api.ok("POST", f"{path}/tags", {"tags": ["group"]})
    assert await members() == [web, tagged]
    shown = await get(api, firewall)
    assert (shown["droplet_ids"], shown["tags"]) == ([web], ["group"])
    await api.ok("DELETE", f"/v2/droplets/{web}")
    await api.ok("DELETE", "/v2/tags/group")
    shown = await get(api, firewall)
    assert (shown["droplet_ids"], shown["tags"]) == ([], [])


async def test_a_put_replaces_the_whole(api: Api) -> None:
    droplet = await api.create(tags=["group"])
    firewall = await create(api, droplet_ids=[droplet], tags=["group"])
    path = f"/v2/firewalls/{firewall['id']}"
    changed = await api.ok("PUT", path, {"name": "other", "outbound_rules": [OUT]})
    shown = changed["firewall"]
    assert (shown["name"], shown["inbound_rules"], shown["outbound_rules"]) == ("other", [], [OUT])
    assert (shown["droplet_ids"], shown["tags"], shown["created_at"]) == ([], [], firewall["created_at"])
    assert shown["pending_changes"] == [{"droplet_id": droplet, "removing": True, "status": "waiting"}]
    await api.ok("DELETE", path)
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {"name": "other", "outbound_rules": [OUT]})):
        assert (await api.call(method, path, body)).status == 404


async def test_rules_come_and_go(api: Api) -> None:
    firewall = await create(api)
    path = f"/v2/firewalls/{firewall['id']}/rules"
    await api.ok("POST", path, {"inbound_rules": [SSH, PING], "outbound_rules": [OUT]})
    shown = await get(api, firewall)
    assert (shown["inbound_rules"], shown["outbound_rules"]) == ([SSH, PING], [OUT])
    await api.ok("DELETE", path, {"inbound_rules": [SSH]})
    await api.ok("DELETE", path, {"inbound_rules": [SSH], "outbound_rules": [OUT]})
    shown = await get(api, firewall)
    assert (shown["inbound_rules"], shown["outbound_rules"]) == ([PING], [])
    assert (await api.call("DELETE", path, {"inbound_rules": [PING]})).status == 422


async def test_rules_may_name_droplets_and_tags_until_those_are_gone(api: Api) -> None:
    droplet = await api.create(tags=["group"])
    rule = {**SSH, "sources": {"droplet_ids": [droplet], "tags": ["group"], "addresses": ["10.0.0.0/8"]}}
    firewall = await create(api, inbound_rules=[rule])
    assert firewall["inbound_rules"] == [rule]
    await api.ok("DELETE", f"/v2/droplets/{droplet}")
    await api.ok("DELETE", "/v2/tags/group")
    assert (await get(api, firewall))["inbound_rules"] == [{**SSH, "sources": {"addresses": ["10.0.0.0/8"]}}]


async def test_what_makes_no_sense_is_refused(api: Api) -> None:
    good = {"name": "edge", "inbound_rules": [SSH]}
    target = {"addresses": ["10.0.0.0/8"]}
    changes: list[dict[str, Any]] = [
        {"name": "under_score"},
        {"name": "a b"},
        {"inbound_rules": []},
        {"inbound_rules": None},
        {"inbound_rules": ["all"]},
        {"inbound_rules": [{**SSH, "protocol": "all"}]},
        {"inbound_rules": [{**SSH, "ports": 22}]},
        {"inbound_rules": [{**SSH, "ports": "all"}]},
        {"inbound_rules": [{**SSH, "ports": "22-21"}]},
        {"inbound_rules": [{**SSH, "ports": "65536"}]},
        {"inbound_rules": [{"protocol": "tcp", "sources": target}]},
        {"inbound_rules": [{"protocol": "tcp", "ports": "22"}]},
        {"inbound_rules": [{**SSH, "sources": {}}]},
        {"inbound_rules": [{**SSH, "sources": {"addresses": ["example.com"]}}]},
        {"inbound_rules": [{**SSH, "sources": {"addresses": [1]}}]},
        {"inbound_rules": [{**SSH, "sources": {"tags": ["none"]}}]},
        {"inbound_rules": [{**SSH, "sources": {"load_balancer_uids": ["x"]}}]},
        {"droplet_ids": [1]},
        {"droplet_ids": ["1"]},
        {"tags": ["none"]},
    ]
    for change in changes:
        answer = await api.call("POST", "/v2/firewalls", {**good, **change})
        assert (answer.status, answer.body["id"]) == (422, "unprocessable_entity"), change
    await create(api)
    answer = await api.call("POST", "/v2/firewalls", good)
    assert (answer.status, answer.body["message"]) == (409, "duplicate name")
    assert (await api.ok("GET", "/v2/firewalls"))["meta"]["total"] == 1
