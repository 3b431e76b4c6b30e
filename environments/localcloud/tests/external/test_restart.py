"""What the program has and does while the local cloud is restarted or killed, and beside another one."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, eventually, public_address, subprocess_cloud
from environments.localcloud.tests.external.conftest import DATA, Fake


async def test_a_restart_finds_the_machines_as_they_are(
    settings: Settings, validator: Any, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        on, off, went_off, came_on, gone = [await api.create(f"box{number}") for number in range(5)]
        for droplet in (on, off, went_off, came_on, gone):
            await api.until_status(droplet, "active")
        for droplet in (off, came_on):
            await api.act(droplet, "power_off")
    assert [fake.machine(droplet)["status"] for droplet in (on, off)] == ["active", "off"], "they go on without it"
    fake.change(went_off, status="off")
    fake.change(came_on, status="active", ip="127.78.0.99")
    state = fake.state()
    del state["machines"][fake.machine(gone)["name"]]
    (fake.home / "state.json").write_text(json.dumps(state))
    calls = fake.calls()
    async with running(settings) as cloud:
        api = Api(cloud.url, validator)
        found = [await api.droplet(droplet) for droplet in (on, off, went_off, came_on, gone)]
        assert [droplet["status"] for droplet in found] == ["active", "off", "off", "active", "off"]
        assert public_address(found[3]) == "127.78.0.99"
        assert fake.calls() == calls
        assert f"droplet {gone}: its machine" in caplog.text


async def killed_in(run: Any, fake: Fake, command: str) -> None:
    """Kill the local cloud when the program has been called so."""

    async def is_called() -> bool:
        return any(call.startswith(f"{command} ") for call in fake.calls()) and "{}" in fake_trouble(fake)

    await eventually(is_called)
    await run.end(signal.SIGKILL)


def fake_trouble(fake: Fake) -> str:
    return (fake.home / "misbehave").read_text()


@pytest.mark.parametrize("trouble", ["hang", "half"])
async def test_a_creation_killed_in_the_middle_is_done_again(
    settings: Settings, validator: Any, fake: Fake, trouble: str
) -> None:
    more = ("--droplet-command", str(fake.path), "--ssh-port", "2345")
    async with subprocess_cloud(settings, validator, *more) as run:
        fake.misbehave(up=trouble)
        volume = await run.api.volume("home")
        droplet = await run.api.create(user_data=DATA, volumes=[volume])
        await killed_in(run, fake, "up")
    await nobody_is_left(fake)
    async with subprocess_cloud(settings, validator, *more) as run:
        await run.api.until_status(droplet, "active")
        assert fake.machine(droplet)["user_data"] == DATA
        assert fake.machine(droplet)["volumes"] == ["home"]
        assert not list(settings.droplets_dir.glob("*/user-data"))


async def has_no_files(directory: Path) -> bool:
    return await asyncio.to_thread(os.listdir, directory) == []


async def nobody_is_left(fake: Fake) -> None:
    """The program ends with the local cloud that called it: the next is not to work beside it."""

    def find() -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"FAKE_HOME={fake.home}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    async def is_empty() -> bool:
        return not await asyncio.to_thread(find)

    assert await eventually(is_empty)


@pytest.mark.parametrize(
    ("kind", "command", "status"),
    [("reboot", "reboot", "active"), ("shutdown", "off", "off"), ("power_on", "on", "active")],
)
async def test_an_action_killed_in_the_middle_is_done_again(
    settings: Settings, validator: Any, fake: Fake, kind: str, command: str, status: str
) -> None:
    more = ("--droplet-command", str(fake.path), "--ssh-port", "2345")
    async with subprocess_cloud(settings, validator, *more) as run:
        droplet = await run.api.create()
        await run.api.until_status(droplet, "active")
        if kind == "power_on":
            await run.api.act(droplet, "power_off")
        fake.misbehave(**{command: "hang"})
        action = await run.api.ok("POST", f"/v2/droplets/{droplet}/actions", {"type": kind})
        await killed_in(run, fake, command)
    async with subprocess_cloud(settings, validator, *more) as run:
        assert (await run.api.until_ended(action["action"]["id"]))["status"] == "completed"
        assert (await run.api.droplet(droplet))["status"] == fake.machine(droplet)["status"] == status


async def test_removals_killed_in_the_middle_are_done_again(settings: Settings, validator: Any, fake: Fake) -> None:
    more = ("--droplet-command", str(fake.path), "--ssh-port", "2345")
    async with subprocess_cloud(settings, validator, *more) as run:
        volume = await run.api.volume("home")
        droplet = await run.api.create(volumes=[volume])
        await run.api.until_status(droplet, "active")
        fake.misbehave(destroy="hang")
        await run.api.ok("DELETE", f"/v2/droplets/{droplet}")
        await killed_in(run, fake, "destroy")
    async with subprocess_cloud(settings, validator, *more) as run:
        assert fake.state()["machines"] == {}
        await eventually(lambda: run.api.is_free(volume))
        fake.misbehave(up="half")
        await run.api.ok("DELETE", f"/v2/volumes/{volume}")
        await killed_in(run, fake, "up")
    async with subprocess_cloud(settings, validator, *more):
        assert await eventually(fake.has_nothing)
        assert await eventually(lambda: has_no_files(settings.volumes_dir))


async def test_other_local_clouds_machines_are_left_alone(settings: Settings, validator: Any, fake: Fake) -> None:
    other = replace(settings, state=settings.state.parent / "other")
    async with running(settings) as first, running(other) as second:
        apis = [Api(cloud.url, validator) for cloud in (first, second)]
        droplets = [await api.create() for api in apis]
        assert droplets[0] == droplets[1], "the ids are the same"
        for api, droplet in zip(apis, droplets, strict=True):
            await api.until_status(droplet, "active")
        await apis[0].ok("DELETE", f"/v2/droplets/{droplets[0]}")

        async def is_one_left() -> bool:
            return len(fake.state()["machines"]) == 1

        await eventually(is_one_left)
    async with running(settings):
        assert len(fake.state()["machines"]) == 1
