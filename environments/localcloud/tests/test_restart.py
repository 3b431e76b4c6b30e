"""What a restart keeps, however the last run ended."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import requests

from environments.localcloud.processes import find_pids
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import (
    HOME_MOUNT,
    REGION,
    Api,
    Login,
    Running,
    boot,
    eventually,
    public_address,
    subprocess_cloud,
)
from environments.localcloud.trees import PARTIAL

SHOWN = ("/v2/account/keys", "/v2/droplets", "/v2/volumes", "/v2/snapshots", "/v2/firewalls", "/v2/tags", "/v2/actions")


async def everything(api: Api) -> list[Any]:
    shown = [await api.ok("GET", f"{path}?per_page=200") for path in SHOWN]
    shown = json.loads(json.dumps(shown).replace(api.url, "URL"))
    return list(shown)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_restart_keeps_everything_and_leaves_no_process(
    settings: Settings, validator: Any, login: Login, number: int
) -> None:
    async with subprocess_cloud(settings, validator) as run:
        api = run.api
        key = {"name": "mine", "public_key": Login().public()}
        await api.ok("POST", "/v2/account/keys", key)
        volume = await api.volume("home")
        box = await boot(
            api, settings.state, login,
            user_data=login.user_data(mounts=[HOME_MOUNT]), volumes=[volume], tags=["devpocket"],
        )  # fmt: skip
        off = await boot(api, settings.state, login)
        await api.act(off.id, "power_off")
        await api.snapshot(off.id)
        await api.ok("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved", "tags": ["devpocket"]})
        rule = {"protocol": "icmp", "ports": "0", "sources": {"addresses": ["0.0.0.0/0"]}}
        firewall = {"name": "edge", "inbound_rules": [rule], "droplet_ids": [off.id], "tags": ["devpocket"]}
        await api.ok("POST", "/v2/firewalls", firewall)
        async with box.connect() as connection:
            await connection.run("echo mine > notes; tmux new -d; (setsid sleep 600 > /dev/null 2>&1 &)", check=True)

        async def is_in_force() -> bool:
            return '"waiting"' not in json.dumps(await api.ok("GET", "/v2/firewalls"))

        await eventually(is_in_force)
        before = await everything(api)
        code = await run.end(number)
        if number != signal.SIGKILL:
            assert code == 0
            assert await asyncio.to_thread(find_pids, settings.droplets_dir, below=True) == []
        assert run.process.stderr
        assert await run.process.stderr.read() == b""

    async with subprocess_cloud(settings, validator) as run:
        assert await everything(run.api) == before
        assert await asyncio.to_thread(find_pids, settings.droplets_dir, below=True) == []
        async with box.connect() as connection:
            assert (await connection.run("cat notes")).stdout == "mine\n"
        with pytest.raises(ConnectionRefusedError):
            await off.connect()
        await run.api.act(off.id, "power_on")
        async with off.connect():
            pass


async def test_a_new_droplet_goes_on_booting(settings: Settings, validator: Any, login: Login) -> None:
    async with running(replace(settings, boot_s=3600)) as cloud:
        droplet_id = await Api(cloud.url, validator).create(user_data=login.user_data())
        # As if that hour were nearly over.
        record = cloud.app.cloud.store.droplets[droplet_id]
        record.ready_at = record.created_at + 0.1
        cloud.app.cloud.store.save(record)
    async with running(settings) as cloud:
        droplet = await Api(cloud.url, validator).until_status(droplet_id, "active")
        async with login.connect(public_address(droplet)):
            pass


async def test_actions_in_progress_are_carried_out(settings: Settings, validator: Any, login: Login) -> None:
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login)
        volume = await api.volume()
    async with running(replace(settings, action_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        power = await api.ok("POST", f"/v2/droplets/{box.id}/actions", {"type": "power_off"})
        attach = await api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": "attach", "droplet_id": box.id})
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        for action in (power, attach):
            assert (await api.until_ended(action["action"]["id"]))["status"] == "completed"
        droplet = await api.droplet(box.id)
        assert (droplet["status"], droplet["volume_ids"]) == ("off", [volume])


MANY = 3000  # files: their copy takes long enough to be killed in


async def kill_in_a_copy(run: Running, place: Path) -> None:
    """Kill the cloud as soon as there is an unfinished copy."""

    async def is_copying() -> bool:
        return any(name.startswith(PARTIAL) for name in await asyncio.to_thread(os.listdir, place))

    await eventually(is_copying)
    await run.end(signal.SIGKILL)
    assert await is_copying(), "it was in the middle"


async def killed_in_a_copy(run: Running, droplet: int, place: Path, **action: Any) -> int:
    """Start an action, and kill the cloud while that copies; returns the action's id."""
    answer = await run.api.ok("POST", f"/v2/droplets/{droplet}/actions", action)
    await kill_in_a_copy(run, place)
    return int(answer["action"]["id"])


async def test_a_snapshot_and_a_rebuild_killed_in_the_middle_are_done_again(
    settings: Settings, validator: Any, login: Login
) -> None:
    snapshots, droplets = settings.state / "snapshots", settings.state / "droplets"
    async with subprocess_cloud(settings, validator) as run:
        box = await boot(run.api, settings.state, login)
        (box.disk / "many").mkdir()
        for number in range(MANY):
            (box.disk / "many" / str(number)).write_text("x")
        action = await killed_in_a_copy(run, box.id, snapshots, type="snapshot", name="saved")
    async with subprocess_cloud(settings, validator) as run:
        assert (await run.api.until_ended(action))["status"] == "completed"
        (snapshot,) = (await run.api.droplet(box.id))["snapshot_ids"]
        assert os.listdir(snapshots) == [str(snapshot)]
        assert len(os.listdir(snapshots / str(snapshot) / "many")) == MANY
        (box.disk / "many" / "0").unlink()
        action = await killed_in_a_copy(run, box.id, droplets, type="rebuild", image=snapshot)
        assert len(os.listdir(box.disk / "many")) == MANY - 1, "the old disk is there until the new one is whole"
    async with subprocess_cloud(settings, validator) as run:
        assert (await run.api.until_ended(action))["status"] == "completed"
        assert os.listdir(droplets) == [str(box.id)]
        assert len(os.listdir(box.disk / "many")) == MANY
        async with box.connect() as connection:
            assert (await connection.run("echo up")).stdout == "up\n"
        copy = await run.api.create("copy", image=snapshot)
        await kill_in_a_copy(run, droplets)
    async with subprocess_cloud(settings, validator) as run:
        await run.api.until_status(copy, "active")
        assert len(os.listdir(droplets / str(copy) / "many")) == MANY
        action = await killed_in_a_copy(run, box.id, snapshots, type="snapshot", name="again")
    assert len(os.listdir(snapshots)) == 2
    async with subprocess_cloud(settings, validator) as run:
        await run.api.ok("DELETE", f"/v2/droplets/{box.id}")
        assert (await run.api.until_ended(action))["status"] == "errored"
        assert await eventually(lambda: has_only(snapshots, str(snapshot)))


async def test_of_a_volume_copied_when_the_cloud_was_killed_nothing_is_left(settings: Settings, validator: Any) -> None:
    volumes, snapshots = settings.state / "volumes", settings.state / "snapshots"
    async with subprocess_cloud(settings, validator) as run:
        volume = await run.api.volume("data")
        saved = (await run.api.ok("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved"}))["snapshot"]["id"]
        for number in range(MANY):
            (volumes / volume / str(number)).write_text("x")
            (snapshots / saved / str(number)).write_text("x")
        lost = asyncio.create_task(run.api.call("POST", f"/v2/volumes/{volume}/snapshots", {"name": "lost"}))
        await kill_in_a_copy(run, snapshots)
        with pytest.raises(requests.ConnectionError):
            await lost
    async with subprocess_cloud(settings, validator) as run:
        assert os.listdir(snapshots) == [saved]
        copy = {"name": "copy", "size_gigabytes": 10, "region": REGION, "snapshot_id": saved}
        lost = asyncio.create_task(run.api.call("POST", "/v2/volumes", copy))
        await kill_in_a_copy(run, volumes)
        with pytest.raises(requests.ConnectionError):
            await lost
    async with subprocess_cloud(settings, validator) as run:
        # Removed beside the start, which waits for no removal.
        assert await eventually(lambda: has_only(volumes, volume))
        made = (await run.api.ok("POST", "/v2/volumes", copy))["volume"]["id"]
        assert len(os.listdir(volumes / made)) == MANY


async def has_only(directory: Path, name: str) -> bool:
    return await asyncio.to_thread(os.listdir, directory) == [name]


async def test_a_resize_goes_on_after_a_kill(settings: Settings, validator: Any) -> None:
    async with subprocess_cloud(replace(settings, action_s=0.2), validator) as run:
        droplet, volume = await run.api.create(), await run.api.volume("data")
        await run.api.until_status(droplet, "active")
        await run.api.act(droplet, "power_off")
        actions = [
            await run.api.ok("POST", f"/v2/droplets/{droplet}/actions", {"type": "resize", "size": "s-2vcpu-4gb"}),
            await run.api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": "resize", "size_gigabytes": 99}),
        ]
        await run.end(signal.SIGKILL)
    async with subprocess_cloud(settings, validator) as run:
        for action in actions:
            assert (await run.api.until_ended(action["action"]["id"]))["status"] == "completed"
        shown = await run.api.droplet(droplet)
        assert (shown["size_slug"], shown["disk"], shown["status"]) == ("s-2vcpu-4gb", 25, "off")
        assert (await run.api.ok("GET", f"/v2/volumes/{volume}"))["volume"]["size_gigabytes"] == 99


async def test_a_droplet_being_made_from_a_deleted_snapshot_is_finished(
    settings: Settings, validator: Any, login: Login
) -> None:
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login)
        (box.disk / "etc/mine").write_text("x")
        snapshot = await api.snapshot(box.id)
    async with running(replace(settings, boot_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        copy = await api.create(image=snapshot)
        await api.ok("DELETE", f"/v2/snapshots/{snapshot}")
        record = cloud.app.cloud.store.droplets[copy]
        record.ready_at = record.created_at
        cloud.app.cloud.store.save(record)
    async with running(settings) as cloud:
        await Api(cloud.url, validator).until_status(copy, "active")
        assert (settings.state / "droplets" / str(copy) / "etc/mine").read_text() == "x"

        async def is_empty() -> bool:
            return await asyncio.to_thread(os.listdir, settings.state / "snapshots") == []

        assert await eventually(is_empty)


async def test_volumes_are_freed_and_disks_removed_after_a_kill(
    settings: Settings, validator: Any, login: Login
) -> None:
    slow = replace(settings, detach_s=0.3)
    async with subprocess_cloud(slow, validator) as run:
        volume = await run.api.volume("home")
        box = await boot(run.api, settings.state, login, volumes=[volume])
        await run.api.ok("DELETE", f"/v2/droplets/{box.id}")
        await run.end(signal.SIGKILL)
    async with subprocess_cloud(slow, validator) as run:
        assert await eventually(lambda: run.api.is_free(volume))
        assert not box.disk.exists()
        assert await run.api.create() > box.id, "an id is never used again"


async def test_an_acknowledged_create_survives_a_kill_at_any_moment(settings: Settings, validator: Any) -> None:
    acknowledged: set[int] = set()
    for _ in range(3):
        async with subprocess_cloud(settings, validator) as run:
            shown = (await run.api.ok("GET", "/v2/droplets?per_page=200"))["droplets"]
            assert acknowledged <= {droplet["id"] for droplet in shown}

            async def create(api: Api = run.api) -> None:
                try:
                    acknowledged.add(await api.create())
                except OSError:  # killed meanwhile
                    return

            work = [asyncio.create_task(create()) for _ in range(12)]
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            await run.end(signal.SIGKILL)
            await asyncio.gather(*work)
    assert acknowledged


async def test_the_address_changes_if_somebody_took_it(settings: Settings, validator: Any, login: Login) -> None:
    async with running(settings) as cloud:
        box = await boot(Api(cloud.url, validator), settings.state, login)
    squatter = await asyncio.start_server(lambda *_: None, box.address, 2222)
    async with squatter, running(settings) as cloud:
        droplet = await Api(cloud.url, validator).droplet(box.id)
        assert public_address(droplet) != box.address
        async with login.connect(public_address(droplet)):
            pass


async def test_what_is_on_a_volume_outlives_its_droplets(settings: Settings, validator: Any) -> None:
    first, second = Login(), Login()
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        volume = await api.volume("home")
        mounted = {"mounts": [HOME_MOUNT]}
        box = await boot(api, settings.state, first, user_data=first.user_data(**mounted), volumes=[volume])
        async with box.connect() as connection:
            await connection.run("echo kept > notes; echo '# my own' > .bashrc", check=True)
        await api.ok("DELETE", f"/v2/droplets/{box.id}")
        assert await eventually(lambda: api.is_free(volume))
        box = await boot(api, settings.state, second, user_data=second.user_data(**mounted), volumes=[volume])
        async with box.connect() as connection:
            assert (await connection.run("cat notes .bashrc")).stdout == "kept\n# my own\n"
        detach = await api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": "detach", "droplet_id": box.id})
        await api.until_ended(detach["action"]["id"])
        assert os.listdir(box.disk / "home/devpocket") == []
        await api.act(box.id, "reboot")
        with pytest.raises(asyncssh.PermissionDenied):  # the keys were on the volume
            await box.connect()


async def test_playing_goes_on_where_it_was(settings: Settings, validator: Any, login: Login) -> None:
    slow = replace(settings, install_s=4)
    log_path = "var/log/cloud-init-output.log"
    commands = [f"step {number}" for number in range(8)]

    def played(disk: Path) -> list[str]:
        lines = (disk / log_path).read_text().splitlines()
        return [line.removeprefix("+ ") for line in lines if line.startswith("+ ")]

    async with running(slow) as cloud:
        box = await boot(Api(cloud.url, validator), slow.state, login, user_data=login.user_data(runcmd=commands))

        async def is_at_two() -> bool:
            return len(played(box.disk)) == 2

        await eventually(is_at_two)
        assert not (box.disk / "var/lib/cloud/instance/boot-finished").exists()
    async with running(settings):

        async def is_finished() -> bool:
            return (box.disk / "var/lib/cloud/instance/boot-finished").exists()

        await eventually(is_finished)
    # The one that was being played may be there twice.
    assert list(dict.fromkeys(played(box.disk))) == commands
    assert len(played(box.disk)) <= len(commands) + 1
