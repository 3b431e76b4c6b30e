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

from environments.localcloud.processes import find_pids
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import (
    HOME_MOUNT,
    Api,
    Login,
    boot,
    eventually,
    public_address,
    subprocess_cloud,
)

SHOWN = ("/v2/account/keys", "/v2/droplets", "/v2/volumes", "/v2/tags", "/v2/actions")


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
        async with box.connect() as connection:
            await connection.run("echo mine > notes; tmux new -d; (setsid sleep 600 > /dev/null 2>&1 &)", check=True)
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
