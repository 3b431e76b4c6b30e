"""Snapshots of droplets and of volumes, and what is made from them."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import (
    HOME_MOUNT,
    IMAGE,
    REGION,
    SIZE,
    Api,
    Box,
    Login,
    boot,
    eventually,
)
from environments.localcloud.trees import Copy


async def run(box: Box, command: str, **more: Any) -> str:
    async with box.connect(**more) as connection:
        return str((await connection.run(command, check=True)).stdout)


async def test_a_snapshot_is_found_everywhere_until_it_is_deleted(api: Api, box: Box) -> None:
    snapshot = await api.snapshot(box.id, "before")
    (shown,) = (await api.ok("GET", "/v2/snapshots?resource_type=droplet"))["snapshots"]
    assert (shown["id"], shown["name"], shown["resource_id"]) == (str(snapshot), "before", str(box.id))
    assert (shown["min_disk_size"], shown["regions"]) == (25, [REGION])
    assert shown["size_gigabytes"] > 0
    assert (await api.ok("GET", f"/v2/droplets/{box.id}/snapshots"))["snapshots"][0]["id"] == snapshot
    (image,) = (await api.ok("GET", "/v2/images?private=true"))["images"]
    assert (image["id"], image["type"], image["public"], image["slug"]) == (snapshot, "snapshot", False, None)
    assert (await api.ok("GET", f"/v2/images/{snapshot}"))["image"] == image
    assert image in (await api.ok("GET", "/v2/images"))["images"]
    assert (await api.ok("GET", "/v2/images?type=application"))["images"] == []
    assert snapshot not in [i["id"] for i in (await api.ok("GET", "/v2/images?type=distribution"))["images"]]
    assert (await api.ok("GET", "/v2/snapshots?resource_type=volume"))["snapshots"] == []
    await api.ok("DELETE", f"/v2/snapshots/{snapshot}")
    for path in (f"/v2/snapshots/{snapshot}", f"/v2/images/{snapshot}", f"/v2/volumes/snapshots/{snapshot}"):
        assert (await api.call("GET", path)).status == 404
    assert (await api.droplet(box.id))["snapshot_ids"] == []
    assert (await api.call("DELETE", f"/v2/snapshots/{snapshot}")).status == 404
    assert (await api.call("DELETE", "/v2/snapshots/155133621")).status == 400, "an image, but no snapshot"
    assert (await api.call("GET", "/v2/snapshots?resource_type=database")).status == 422


async def test_the_name_of_a_snapshot_can_be_left_out(api: Api, box: Box) -> None:
    await api.act(box.id, "snapshot")
    assert (await api.ok("GET", "/v2/snapshots"))["snapshots"][0]["name"].startswith("box-")
    assert (await api.call("POST", f"/v2/droplets/{box.id}/actions", {"type": "snapshot", "name": ""})).status == 422


async def test_another_droplet_made_from_a_snapshot_is_set_up_anew_over_what_it_finds(
    api: Api, settings: Settings, login: Login
) -> None:
    first = login.user_data(runcmd=["first"], write_files=[{"path": "/etc/first", "content": "1"}])
    box = await boot(api, settings.state, login, user_data=first)
    await run(box, "echo kept > notes; mkdir -p go; echo x > go/module; chmod -R a-w go; ln -s $HOME/notes link")
    snapshot = await api.snapshot(box.id)
    await api.ok("DELETE", f"/v2/droplets/{box.id}")

    other = Login()
    second = other.user_data(runcmd=["second"], write_files=[{"path": "/etc/second", "content": "2"}], hostname="two")
    copy = await boot(api, settings.state, other, user_data=second, image=snapshot)
    assert (await api.droplet(copy.id))["image"]["id"] == snapshot
    files = "notes go/module link $DEVPOCKET_ROOT/etc/{first,second,hostname}"
    found = await run(copy, f"for file in {files}; do echo $(cat $file); done; realpath link")
    assert found.split() == ["kept", "x", "kept", *"12", "two", f"{copy.disk}/home/devpocket/notes"]
    await eventually(lambda: exists(copy.disk / "var/lib/cloud/instance/boot-finished"))
    log = (copy.disk / "var/log/cloud-init-output.log").read_text()
    assert log.index("+ first") < log.index("+ second")
    async with login.connect(copy.address, known_hosts=([other.host_key.convert_to_public()], [], [])):
        pass  # the keys that were there still let in
    with pytest.raises(asyncssh.HostKeyNotVerifiable):  # while the host key is the new droplet's
        await login.connect(copy.address)


async def exists(path: Path) -> bool:
    return await asyncio.to_thread(path.exists)


async def test_a_snapshot_of_a_droplet_leaves_its_volumes_out(api: Api, settings: Settings, login: Login) -> None:
    volume = await api.volume("home")
    box = await boot(api, settings.state, login, user_data=login.user_data(mounts=[HOME_MOUNT]), volumes=[volume])
    await run(box, "echo mine > notes; echo disk > $DEVPOCKET_ROOT/etc/notes")
    snapshot = await api.snapshot(box.id)
    content = settings.state / "snapshots" / str(snapshot)
    assert os.listdir(content / "home/devpocket") == []
    assert (content / "etc/notes").read_text() == "disk\n"
    assert not list(content.rglob("*.under-mount"))
    assert os.listdir(content / "run") == []


async def test_a_droplet_rebuilt_to_its_own_snapshot_just_boots(api: Api, settings: Settings, login: Login) -> None:
    volume = await api.volume("home")
    box = await boot(
        api,
        settings.state,
        login,
        user_data=login.user_data(mounts=[HOME_MOUNT], runcmd=["once"]),
        volumes=[volume],
    )
    await eventually(lambda: exists(box.disk / "var/lib/cloud/instance/boot-finished"))
    await run(box, "echo volume > notes; echo old > $DEVPOCKET_ROOT/etc/state")
    snapshot = await api.snapshot(box.id)
    await run(box, "echo new > $DEVPOCKET_ROOT/etc/state; echo later >> notes")
    assert (await api.act(box.id, "rebuild", image=snapshot))["status"] == "completed"
    droplet = await api.droplet(box.id)
    assert (droplet["status"], droplet["image"]["id"], droplet["volume_ids"]) == ("active", snapshot, [volume])
    assert await run(box, "cat notes $DEVPOCKET_ROOT/etc/state") == "volume\nlater\nold\n"
    await eventually(lambda: exists(box.disk / "run/cloud-init/result.json"))
    log = (box.disk / "var/log/cloud-init-output.log").read_text()
    assert log.count("+ once") == 1
    assert log.count(" finished at ") == 2, "cloud-init says so at each boot"


async def test_a_droplet_rebuilt_to_a_public_image_is_blank_and_set_up_anew(
    api: Api, settings: Settings, login: Login
) -> None:
    volume = await api.volume("home")
    box = await boot(api, settings.state, login, user_data=login.user_data(mounts=[HOME_MOUNT]), volumes=[volume])
    await run(box, "echo volume > notes; echo gone > $DEVPOCKET_ROOT/etc/state")
    await api.act(box.id, "power_off")
    assert (await api.act(box.id, "rebuild", image="debian-12-x64"))["status"] == "completed"
    droplet = await api.droplet(box.id)
    assert (droplet["status"], droplet["image"]["slug"]) == ("active", "debian-12-x64")
    assert await run(box, "cat notes; ls $DEVPOCKET_ROOT/etc") == "volume\nfstab\nhostname\npasswd\nssh\n"


async def test_an_image_deleted_under_a_droplet_is_still_shown(api: Api, box: Box, settings: Settings) -> None:
    snapshot = await api.snapshot(box.id)
    content = settings.state / "snapshots" / str(snapshot)
    copy = await api.create(image=snapshot)
    await api.ok("DELETE", f"/v2/snapshots/{snapshot}")  # while it may still be needed
    droplet = await api.until_status(copy, "active")
    assert (droplet["image"]["id"], droplet["image"]["status"]) == (snapshot, "deleted")
    assert (await api.call("POST", "/v2/droplets", {**NEW, "image": snapshot})).status == 422

    async def is_gone() -> bool:
        return not await exists(content)

    assert await eventually(is_gone)
    await api.act(copy, "snapshot")
    (image,) = (await api.ok("GET", "/v2/images?private=true"))["images"]
    assert image["distribution"] == "Ubuntu"


async def test_a_snapshot_deleted_before_the_rebuild_to_it_is_still_used(
    settings: Settings, validator: Any, login: Login
) -> None:
    async with running(replace(settings, action_s=0.3)) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login)
        await run(box, "echo saved > notes")
        snapshot = await api.snapshot(box.id)
        await run(box, "rm notes")
        rebuild = {"type": "rebuild", "image": snapshot}
        action = (await api.ok("POST", f"/v2/droplets/{box.id}/actions", rebuild))["action"]
        await api.ok("DELETE", f"/v2/snapshots/{snapshot}")
        assert (await api.until_ended(action["id"]))["status"] == "completed"
        assert await run(box, "cat notes") == "saved\n"
        assert (await api.droplet(box.id))["image"]["status"] == "deleted"


async def test_a_rebuild_that_fails_leaves_the_droplet_off_with_its_disk(
    settings: Settings, validator: Any, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login)
        snapshot = await api.snapshot(box.id)
        await run(box, "echo mine > notes")

        def fail(copy: Copy) -> int:
            raise OSError(28, "No space left on device", str(copy.target))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Copy, "run", fail)
            assert (await api.act(box.id, "rebuild", image=snapshot))["status"] == "errored"
        droplet = await api.droplet(box.id)
        assert (droplet["status"], droplet["image"]["slug"]) == ("off", IMAGE)
        assert "No space left" in caplog.text
        await api.act(box.id, "power_on")
        assert await run(box, "cat notes") == "mine\n"


NEW = {"name": "box", "size": SIZE, "image": IMAGE, "region": REGION}


async def test_images_that_do_not_fit_are_refused(api: Api, box: Box) -> None:
    snapshot = await api.snapshot(box.id)
    for change in (
        {"size": "s-1vcpu-512mb-10gb"},
        {"region": "ams3"},
        {"image": str(snapshot)},
        {"image": snapshot + 1},
    ):
        assert (await api.call("POST", "/v2/droplets", {**NEW, "image": snapshot, **change})).status == 422, change
    small = await api.create("small", size="s-1vcpu-512mb-10gb")
    await api.until_status(small, "active")
    for body in (
        {"type": "rebuild", "image": snapshot},
        {"type": "rebuild", "image": "windows-95"},
        {"type": "rebuild"},
    ):
        answer = await api.call("POST", f"/v2/droplets/{small}/actions", body)
        assert answer.status == 422, body


async def test_volumes_are_copied_by_snapshots(api: Api, settings: Settings) -> None:
    volume = await api.volume("data")
    (settings.state / "volumes" / volume / "notes").write_text("old")
    made = await api.ok("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved", "tags": ["nightly"]})
    snapshot = made["snapshot"]
    assert (snapshot["resource_type"], snapshot["min_disk_size"], snapshot["tags"]) == ("volume", 10, ["nightly"])
    (settings.state / "volumes" / volume / "notes").write_text("new")
    for path in (f"/v2/snapshots/{snapshot['id']}", f"/v2/volumes/snapshots/{snapshot['id']}"):
        assert (await api.ok("GET", path))["snapshot"] == snapshot
    for path in ("/v2/snapshots?resource_type=volume", f"/v2/volumes/{volume}/snapshots"):
        assert (await api.ok("GET", path))["snapshots"] == [snapshot]
    assert (await api.ok("GET", "/v2/tags/nightly"))["tag"]["resources"]["volume_snapshots"]["count"] == 1

    new = {"name": "copy", "size_gigabytes": 20, "region": REGION, "snapshot_id": snapshot["id"]}
    for change in ({"size_gigabytes": 9}, {"region": "ams3"}, {"snapshot_id": "x"}):
        assert (await api.call("POST", "/v2/volumes", {**new, **change})).status == 422, change
    copy = (await api.ok("POST", "/v2/volumes", new))["volume"]
    assert copy["size_gigabytes"] == 20
    assert (settings.state / "volumes" / copy["id"] / "notes").read_text() == "old"
    assert (await api.call("POST", "/v2/volumes", new)).status == 409

    await api.ok("DELETE", f"/v2/volumes/{volume}")
    await api.ok("DELETE", f"/v2/volumes/snapshots/{snapshot['id']}")
    assert (await api.ok("GET", "/v2/snapshots"))["snapshots"] == []
    assert (await api.call("POST", f"/v2/volumes/{volume}/snapshots", {"name": "late"})).status == 404


async def test_of_two_volumes_with_one_name_from_a_snapshot_one_is_refused(api: Api) -> None:
    volume = await api.volume("data")
    snapshot = (await api.ok("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved"}))["snapshot"]["id"]
    new = {"name": "copy", "size_gigabytes": 10, "region": REGION, "snapshot_id": snapshot}
    answers = await asyncio.gather(*(api.call("POST", "/v2/volumes", new) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]


async def test_a_droplet_destroyed_while_its_snapshot_is_taken_leaves_none(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, action_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        droplet = await api.create()
        await api.until_status(droplet, "active")
        action = await api.ok("POST", f"/v2/droplets/{droplet}/actions", {"type": "snapshot", "name": "never"})
        await api.ok("DELETE", f"/v2/droplets/{droplet}")
        assert (await api.until_ended(action["action"]["id"]))["status"] == "errored"
        assert (await api.ok("GET", "/v2/snapshots"))["snapshots"] == []


async def test_snapshots_can_be_tagged(api: Api, box: Box) -> None:
    snapshot = await api.snapshot(box.id)
    await api.ok("POST", "/v2/tags", {"name": "kept"})
    resources = {"resources": [{"resource_id": str(snapshot), "resource_type": "image"}]}
    await api.ok("POST", "/v2/tags/kept/resources", resources)
    assert [i["id"] for i in (await api.ok("GET", "/v2/images?tag_name=kept"))["images"]] == [snapshot]
    tag = (await api.ok("GET", "/v2/tags/kept"))["tag"]
    assert tag["resources"]["images"] == {"count": 1, "last_tagged_uri": f"{api.url}/v2/images/{snapshot}"}
    wrong = json.loads(json.dumps(resources).replace("image", "volume_snapshot"))
    assert (await api.call("POST", "/v2/tags/kept/resources", wrong)).status == 404
    await api.ok("DELETE", "/v2/tags/kept/resources", resources)
    assert (await api.ok("GET", "/v2/images?tag_name=kept"))["images"] == []
