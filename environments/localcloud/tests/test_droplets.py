"""A droplet's life."""

import asyncio
import os
from dataclasses import replace
from typing import Any

import asyncssh
import pytest

from environments.localcloud.processes import find_pids
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, Box, Login, boot, eventually, public_address


async def test_a_new_droplet_has_no_address_and_takes_no_actions(settings: Settings, validator: Any) -> None:
    async with running(replace(settings, boot_s=3600)) as cloud:
        api = Api(cloud.url, validator)
        droplet_id = await api.create()
        droplet = await api.droplet(droplet_id)
        assert (droplet["status"], droplet["networks"]["v4"]) == ("new", [])
        answer = await api.call("POST", f"/v2/droplets/{droplet_id}/actions", {"type": "power_off"})
        assert (answer.status, answer.body["message"]) == (422, "Droplet already has a pending event.")
        await api.ok("DELETE", f"/v2/droplets/{droplet_id}")
        assert await api.droplet(droplet_id) is None


async def test_an_active_droplet_listens_and_its_create_action_is_over(api: Api, box: Box) -> None:
    async with box.connect():
        pass
    actions = (await api.ok("GET", f"/v2/droplets/{box.id}/actions"))["actions"]
    assert [(action["type"], action["status"]) for action in actions] == [("create", "completed")]


async def test_power_comes_and_goes(api: Api, box: Box) -> None:
    assert (await api.act(box.id, "power_off"))["status"] == "completed"
    assert (await api.droplet(box.id))["status"] == "off"
    with pytest.raises(ConnectionRefusedError):
        await box.connect()
    assert public_address(await api.droplet(box.id)) == box.address
    for kind, after in (("power_on", "active"), ("reboot", "active"), ("power_cycle", "active"), ("shutdown", "off")):
        assert (await api.act(box.id, kind))["status"] == "completed"
        droplet = await api.droplet(box.id)
        assert (droplet["status"], public_address(droplet)) == (after, box.address), kind
    assert (await api.call("POST", f"/v2/droplets/{box.id}/actions", {"type": "levitate"})).status == 422


async def test_only_one_action_at_a_time(settings: Settings, validator: Any, login: Login) -> None:
    async with running(replace(settings, action_s=0.5)) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login)
        kinds = ["power_off", "power_on", "reboot"]
        path = f"/v2/droplets/{box.id}/actions"
        answers = await asyncio.gather(*(api.call("POST", path, {"type": kind}) for kind in kinds))
        assert sorted(answer.status for answer in answers) == [201, 422, 422]


async def test_power_off_ends_connections_and_every_process(api: Api, box: Box) -> None:
    async with box.connect() as connection:
        await connection.run(
            "tmux new-session -d -s work 'sleep 600'; (setsid sleep 601 >/dev/null 2>&1 &)", check=True
        )
        listed = await connection.run("tmux list-sessions -F '#{session_name}'", check=True)
        assert listed.stdout == "work\n"
        assert await processes_of(box)
        await api.act(box.id, "power_off")
        async with asyncio.timeout(5):
            await connection.wait_closed()
    assert await processes_of(box) == []


async def test_shutdown_lets_processes_end_by_themselves(api: Api, box: Box) -> None:
    async with box.connect() as connection:
        process = await connection.create_process(
            "trap 'echo bye > ended; exit' TERM; echo up; while :; do sleep 0.01; done"
        )
        await process.stdout.readline()
        await api.act(box.id, "shutdown")
    assert (box.disk / "home/devpocket/ended").read_text() == "bye\n"


async def test_delete_removes_disk_and_tmux_directory(api: Api, box: Box) -> None:
    async with box.connect() as connection:
        tmux = (await connection.run("echo $TMUX_TMPDIR; tmux new-session -d", check=True)).stdout.strip()
    assert box.disk.stat().st_mode & 0o777 == 0o700
    await api.ok("DELETE", f"/v2/droplets/{box.id}")

    async def is_gone() -> bool:
        return not box.disk.exists() and not await asyncio.to_thread(os.path.exists, tmux)

    assert await eventually(is_gone)
    assert await processes_of(box) == []


async def test_several_local_clouds_share_the_machine(settings: Settings, validator: Any, login: Login) -> None:
    other = replace(settings, state=settings.state.with_name("other"))
    async with running(settings) as one, running(other) as two:
        boxes = [
            await boot(Api(cloud.url, validator), cloud.settings.state, login) for cloud in (one, two) for _ in range(2)
        ]
        assert len({box.address for box in boxes}) == 4


async def test_account_keys_let_root_in_and_authorized_keys_are_read_at_each_login(
    api: Api, settings: Settings
) -> None:
    login, later = Login(), Login()
    key = await api.ok("POST", "/v2/account/keys", {"name": "mine", "public_key": login.public()})
    box = await boot(api, settings.state, login, user_data="", ssh_keys=[key["ssh_key"]["fingerprint"]])
    host_key = (box.disk / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    known_hosts: Any = ([asyncssh.import_public_key(host_key)], [], [])
    async with box.connect(username="root", known_hosts=known_hosts) as connection:
        assert (await connection.run("echo $HOME")).stdout == f"{box.disk}/root\n"
        await connection.run(f"echo not a key > .ssh/authorized_keys; echo '{later.public()}' >> .ssh/authorized_keys")
    async with later.connect(box.address, username="root", known_hosts=known_hosts):
        pass
    with pytest.raises(asyncssh.PermissionDenied):
        await box.connect(username="root", known_hosts=known_hosts)


async def processes_of(box: Box) -> list[int]:
    return await asyncio.to_thread(find_pids, box.disk)
