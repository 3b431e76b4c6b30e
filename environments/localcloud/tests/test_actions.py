"""Actions of droplets and volumes, apart from power and snapshots."""

from dataclasses import replace
from typing import Any

import pytest

from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import REGION, Api, Box, eventually


async def refused(api: Api, droplet: int, **body: Any) -> str:
    answer = await api.call("POST", f"/v2/droplets/{droplet}/actions", body)
    assert (answer.status, answer.body["id"]) == (422, "unprocessable_entity"), body
    return str(answer.body["message"])


async def size_of(api: Api, droplet_id: int) -> tuple[str, int, int]:
    droplet = await api.droplet(droplet_id)
    assert droplet["disk_info"][0]["size"]["amount"] == droplet["disk"]
    return droplet["size_slug"], droplet["memory"], droplet["disk"]


async def test_a_droplet_is_resized_while_off_and_its_disk_only_grows(api: Api, box: Box) -> None:
    assert "power off" in await refused(api, box.id, type="resize", size="s-2vcpu-2gb")
    await api.act(box.id, "power_off")
    assert (await api.act(box.id, "resize", size="s-2vcpu-2gb"))["status"] == "completed"
    assert await size_of(api, box.id) == ("s-2vcpu-2gb", 2048, 25), "CPU and memory only"
    await api.act(box.id, "resize", size="s-1vcpu-1gb", disk=False)
    assert await size_of(api, box.id) == ("s-1vcpu-1gb", 1024, 25), "which can be undone"
    await api.act(box.id, "resize", size="s-1vcpu-2gb", disk=True)
    assert await size_of(api, box.id) == ("s-1vcpu-2gb", 2048, 50)
    assert "smaller disk" in await refused(api, box.id, type="resize", size="s-1vcpu-1gb")
    assert "smaller disk" in await refused(api, box.id, type="resize", size="s-1vcpu-1gb", disk=True)
    assert "size" in await refused(api, box.id, type="resize", size="s-1vcpu-512mb")
    assert "size" in await refused(api, box.id, type="resize")
    assert (await api.droplet(box.id))["status"] == "off"
    await api.act(box.id, "power_on")
    async with box.connect() as connection:
        assert (await connection.run("echo up")).stdout == "up\n"
    snapshot = await api.snapshot(box.id)
    assert (await api.ok("GET", f"/v2/images/{snapshot}"))["image"]["min_disk_size"] == 50


async def test_a_droplet_can_be_renamed(api: Api, box: Box) -> None:
    await api.act(box.id, "rename", name="other.example")
    assert (await api.droplet(box.id))["name"] == "other.example"
    assert "hostname" in await refused(api, box.id, type="rename", name="under_score")


async def test_features_can_be_switched(api: Api, box: Box) -> None:
    await api.act(box.id, "enable_ipv6")
    await api.act(box.id, "enable_backups")
    assert (await api.droplet(box.id))["features"] == ["private_networking", "droplet_agent", "ipv6", "backups"]
    await api.act(box.id, "disable_backups")
    assert "backups" not in (await api.droplet(box.id))["features"]


@pytest.mark.parametrize("kind", ["restore", "password_reset", "change_kernel", "change_backup_policy", "levitate"])
async def test_what_can_not_be_is_refused(api: Api, box: Box, kind: str) -> None:
    assert await refused(api, box.id, type=kind, image=1)
    assert (await api.ok("GET", f"/v2/droplets/{box.id}/actions"))["meta"]["total"] == 1


async def test_a_tag_stands_for_its_droplets(api: Api) -> None:
    droplets = [await api.create(f"box{number}", tags=["pair"]) for number in range(2)]
    other = await api.create("other")
    for droplet in (*droplets, other):
        await api.until_status(droplet, "active")
    actions = (await api.ok("POST", "/v2/droplets/actions?tag_name=pair", {"type": "power_off"}))["actions"]
    assert [action["resource_id"] for action in actions] == droplets
    for action in actions:
        assert (await api.until_ended(action["id"]))["status"] == "completed"
    assert [(await api.droplet(droplet))["status"] for droplet in (*droplets, other)] == ["off", "off", "active"]
    actions = await api.ok("POST", "/v2/droplets/actions?tag_name=pair", {"type": "snapshot", "name": "both"})
    for action in actions["actions"]:
        assert (await api.until_ended(action["id"]))["status"] == "completed"
    assert (await api.ok("GET", "/v2/snapshots"))["meta"]["total"] == 2
    assert (await api.ok("POST", "/v2/droplets/actions?tag_name=none", {"type": "power_on"}))["actions"] == []
    for query in ("?tag_name=pair", ""):
        answer = await api.call("POST", f"/v2/droplets/actions{query}", {"type": "reboot"})
        assert answer.status == 422


async def test_one_pending_event_refuses_an_action_by_tag(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, boot_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        await api.create(tags=["pair"])
        answer = await api.call("POST", "/v2/droplets/actions?tag_name=pair", {"type": "power_off"})
        assert (answer.status, answer.body["message"]) == (422, "Droplet already has a pending event.")


# ---- volumes ----


async def act(api: Api, volume: str, **body: Any) -> Any:
    action = (await api.ok("POST", f"/v2/volumes/{volume}/actions", body))["action"]
    assert action["resource_id"] is None
    return await api.until_ended(action["id"])


async def test_a_volume_only_grows(api: Api) -> None:
    volume = await api.volume("data")
    action = await act(api, volume, type="resize", size_gigabytes=20, region=REGION)
    assert (action["status"], action["type"]) == ("completed", "resize_volume")
    assert (await api.ok("GET", f"/v2/volumes/{volume}"))["volume"]["size_gigabytes"] == 20
    for size in (20, 5, 16385, None):
        body = {"type": "resize", "size_gigabytes": size}
        assert (await api.call("POST", f"/v2/volumes/{volume}/actions", body)).status == 422, size
    by_name = {"type": "resize", "size_gigabytes": 30, "volume_name": "data", "region": REGION}
    assert (await api.call("POST", "/v2/volumes/actions", by_name)).status == 422


async def test_a_volume_grows_while_it_is_attached(api: Api) -> None:
    volume = await api.volume("data")
    droplet = await api.create(volumes=[volume])
    await api.until_status(droplet, "active")
    assert (await act(api, volume, type="resize", size_gigabytes=20))["status"] == "completed"
    shown = (await api.ok("GET", f"/v2/volumes/{volume}"))["volume"]
    assert (shown["size_gigabytes"], shown["droplet_ids"]) == (20, [droplet])


async def test_a_volume_that_changes_takes_nothing_else(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, action_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        volume = await api.volume("data")
        await api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": "resize", "size_gigabytes": 20})
        droplet = await api.create()
        for body in ({"type": "resize", "size_gigabytes": 30}, {"type": "attach", "droplet_id": droplet}):
            assert (await api.call("POST", f"/v2/volumes/{volume}/actions", body)).status == 422
        answer = await api.call("POST", "/v2/droplets", {"name": "b", "size": "s-1vcpu-1gb", "region": REGION,
                                                         "image": "debian-12-x64", "volumes": [volume]})  # fmt: skip
        assert answer.status == 422


async def test_a_destroyed_droplets_volume_is_free_only_after_a_while(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, detach_s=0.2)) as cloud:
        api = Api(cloud.url, validator)
        volume = await api.volume("data")
        droplet = await api.create(volumes=[volume])
        await api.ok("DELETE", f"/v2/droplets/{droplet}")
        assert not await api.is_free(volume)
        new = {"name": "b", "size": "s-1vcpu-1gb", "region": REGION, "image": "debian-12-x64", "volumes": [volume]}
        assert (await api.call("POST", "/v2/droplets", new)).status == 422
        assert (await api.call("DELETE", f"/v2/volumes/{volume}")).status == 409
        assert await eventually(lambda: api.is_free(volume))
        await api.ok("POST", "/v2/droplets", new)


async def test_a_droplet_takes_fifteen_volumes(api: Api) -> None:
    volumes = [await api.volume(f"v{number}") for number in range(16)]
    droplet = await api.create(volumes=volumes[:15])
    answer = await api.call("POST", f"/v2/volumes/{volumes[15]}/actions", {"type": "attach", "droplet_id": droplet})
    assert (answer.status, "15" in answer.body["message"]) == (422, True)
