"""Droplets handed to a program: every action, everything that can go wrong with it, and restarts."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from environments.localcloud import external, program
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, eventually, public_address, subprocess_cloud
from environments.localcloud.tests.test_cli import refused

FAKE = Path(__file__).parent / "fake_droplet.py"
DATA = "#cloud-config\nhostname: ünïcode\n"


@dataclass
class Fake:
    """The program, from behind."""

    home: Path
    path: Path

    def state(self) -> Any:
        file = self.home / "state.json"
        return json.loads(file.read_text()) if file.exists() else {"machines": {}, "volumes": {}}

    def machine(self, droplet_id: int) -> Any:
        """What it has for a droplet, or None."""
        return next((m for name, m in self.state()["machines"].items() if name.endswith(f"-{droplet_id}")), None)

    async def has_nothing(self) -> bool:
        return bool(self.state() == {"machines": {}, "volumes": {}})

    def volumes(self) -> dict[str, int]:
        return {name: volume["size_mb"] for name, volume in self.state()["volumes"].items()}

    def misbehave(self, **commands: str) -> None:
        (self.home / "misbehave").write_text(json.dumps(commands))

    def change(self, droplet_id: int, **values: Any) -> None:
        """Change a machine behind the local cloud's back."""
        state = self.state()
        state["machines"][self.machine(droplet_id)["name"]].update(values)
        (self.home / "state.json").write_text(json.dumps(state))

    def calls(self) -> list[str]:
        """All calls but listings, without the machine's name and what they say of files."""
        lines = (self.home / "calls").read_text().splitlines()
        return [line for line in lines if line != "ls"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    home = tmp_path / "fake"
    home.mkdir()
    path = tmp_path / "droplet"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{FAKE}" "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("FAKE_HOME", str(home))
    return Fake(home, path)


@pytest.fixture
def settings(settings: Settings, fake: Fake) -> Settings:
    return replace(settings, droplet_command=fake.path, ssh_port=2345)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's limit is a second or so, and what could not be removed is tried again at once."""
    monkeypatch.setattr(program, "LIMITS_S", {"ls": 30.0})
    monkeypatch.setattr(program, "LIMIT_S", 1.5)
    monkeypatch.setattr(external, "AGAIN_AFTER_S", (0.05,))


@pytest.fixture
async def volume(api: Api) -> str:
    return await api.volume("home")


@pytest.fixture
async def box(api: Api, volume: str) -> int:
    """A droplet that is up, with a volume."""
    droplet_id = await api.create("box", user_data=DATA, volumes=[volume])
    await api.until_status(droplet_id, "active")
    return droplet_id


async def volume_action(api: Api, volume: str, kind: str, **details: Any) -> str:
    """How it ended."""
    action = (await api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": kind, **details}))["action"]
    return str((await api.until_ended(action["id"]))["status"])


# ---- what works ----


async def test_a_droplet_is_created_with_all_that_was_asked_for(api: Api, box: int, fake: Fake) -> None:
    machine = fake.machine(box)
    assert machine["user_data"] == DATA
    assert (machine["hostname"], machine["ssh_port"], machine["memory"], machine["cpus"]) == ("box", 2345, 1024, 1)
    assert machine["volumes"] == ["home"]
    assert fake.volumes() == {"home": 10 * 1024}
    shown = await api.droplet(box)
    assert public_address(shown) == machine["ip"]
    assert len(machine["name"]) <= 31
    assert not list(fake.home.parent.glob("state/**/user-data")), "there are secrets in it"


@pytest.mark.parametrize(
    ("before", "action", "command", "status"),
    [
        ([], "shutdown", "off", "off"),
        ([], "power_off", "off --hard", "off"),
        (["shutdown"], "power_on", "on", "active"),
        ([], "reboot", "reboot", "active"),
        ([], "power_cycle", "reboot --hard", "active"),
        (["shutdown"], "reboot", "on", "active"),
    ],
)
async def test_power(api: Api, box: int, fake: Fake, before: list[str], action: str, command: str, status: str) -> None:
    address = public_address(await api.droplet(box))
    for kind in [*before, action]:
        assert (await api.act(box, kind))["status"] == "completed"
    shown = await api.droplet(box)
    assert (shown["status"], fake.machine(box)["status"]) == (status, status)
    assert fake.machine(box)["last"] == command
    assert public_address(shown) == address


async def test_what_is_so_already_is_left_alone(api: Api, box: int, fake: Fake) -> None:
    calls = len(fake.calls())
    assert (await api.act(box, "power_on"))["status"] == "completed"
    assert len(fake.calls()) == calls
    await api.act(box, "power_off")
    assert (await api.act(box, "shutdown"))["status"] == "completed"
    assert len(fake.calls()) == calls + 1


async def test_a_droplet_goes_and_its_volume_stays(api: Api, box: int, volume: str, fake: Fake) -> None:
    born = fake.state()["volumes"]["home"]["born"]
    await api.ok("DELETE", f"/v2/droplets/{box}")
    assert await eventually(lambda: api.is_free(volume))
    assert fake.state()["machines"] == {}
    again = await api.create("box", volumes=[volume])
    await api.until_status(again, "active")
    assert fake.machine(again)["volumes"] == ["home"]
    assert fake.state()["volumes"]["home"]["born"] == born


async def test_volumes_are_attached_and_detached_whether_it_is_on_or_off(api: Api, box: int, fake: Fake) -> None:
    more = await api.volume("more")
    assert fake.volumes() == {"home": 10 * 1024}, "the program makes it when it is attached"
    for power in ("power_on", "power_off"):
        await api.act(box, power)
        assert await volume_action(api, more, "attach", droplet_id=box) == "completed"
        assert fake.machine(box)["volumes"] == ["home", "more"]
        assert await volume_action(api, more, "detach", droplet_id=box) == "completed"
        assert fake.machine(box)["volumes"] == ["home"]
    assert await api.is_free(more)


@pytest.mark.parametrize("how", ["reboot", "power_off, power_on", "power_cycle"])
async def test_a_volume_grows_at_the_next_boot(api: Api, box: int, volume: str, fake: Fake, how: str) -> None:
    assert await volume_action(api, volume, "resize", size_gigabytes=20) == "completed"
    assert fake.volumes() == {"home": 10 * 1024}
    for kind in how.split(", "):
        assert (await api.act(box, kind))["status"] == "completed"
    assert fake.volumes() == {"home": 20 * 1024}
    assert fake.machine(box)["volumes"] == ["home"]
    assert fake.machine(box)["status"] == "active"


async def test_a_deleted_volume_is_removed_at_the_program(api: Api, box: int, volume: str, fake: Fake) -> None:
    await api.ok("DELETE", f"/v2/droplets/{box}")
    await eventually(lambda: api.is_free(volume))
    await api.ok("DELETE", f"/v2/volumes/{volume}")

    assert await eventually(fake.has_nothing)
    again = await api.volume("home")
    await api.ok("DELETE", f"/v2/volumes/{again}")
    assert "--with-volumes" in fake.calls()[-1], "one that was never attached needs no removing"


async def test_a_volumes_name_that_the_program_has_is_refused(api: Api, box: int, fake: Fake) -> None:
    body = {"name": "home", "size_gigabytes": 10, "region": "sfo3"}
    assert (await api.call("POST", "/v2/volumes", body)).status == 409
    assert fake.volumes() == {"home": 10 * 1024}


async def test_a_size_is_shown_though_the_machine_stays_as_it_is(api: Api, box: int, fake: Fake) -> None:
    await api.act(box, "power_off")
    assert (await api.act(box, "resize", size="s-2vcpu-4gb"))["status"] == "completed"
    await api.act(box, "power_on")
    assert (await api.droplet(box))["size_slug"] == "s-2vcpu-4gb"
    assert fake.machine(box)["memory"] == 1024


# ---- what it can't do ----


async def test_copies_are_refused(
    api: Api, box: int, volume: str, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    calls = len(fake.calls())
    assert (await api.act(box, "snapshot", name="saved"))["status"] == "errored"
    assert (await api.act(box, "rebuild", image="debian-12-x64"))["status"] == "errored"
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "snapshot failed: The program that runs the droplets can't copy disks and volumes.",
        "rebuild failed: The program that runs the droplets can't copy disks and volumes.",
    ]
    assert not any(record.exc_info for record in caplog.records)
    answer = await api.call("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved"})
    assert answer.status == 422
    assert len(fake.calls()) == calls
    assert (await api.droplet(box))["status"] == "active"
    assert (await api.ok("GET", "/v2/snapshots"))["snapshots"] == []


# ---- what goes wrong ----

TROUBLES = {
    "fail": "no good day (status 1)",
    "hang": "not done after 1.5 s",
    "garbage": "not understood",
}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_failed_creation_leaves_nothing_that_is_in_the_way(
    api: Api, volume: str, fake: Fake, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    fake.misbehave(up=trouble)
    droplet = await api.create(volumes=[volume])
    (action,) = (await api.ok("GET", f"/v2/droplets/{droplet}/actions"))["actions"]
    assert (await api.until_ended(action["id"]))["status"] == "errored"
    assert TROUBLES[trouble] in caplog.text
    assert (await api.droplet(droplet))["status"] == "new"
    await api.ok("DELETE", f"/v2/droplets/{droplet}")
    await eventually(lambda: api.is_free(volume))
    again = await api.create(volumes=[volume])
    await api.until_status(again, "active")
    assert list(fake.state()["machines"]) == [fake.machine(again)["name"]]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(
    ("action", "command", "status"),
    [("shutdown", "off", "active"), ("power_on", "on", "off"), ("reboot", "reboot", "active")],
)
async def test_an_action_that_fails_is_errored_and_can_be_asked_for_again(
    api: Api,
    box: int,
    fake: Fake,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
    action: str,
    command: str,
    status: str,
) -> None:
    if action == "power_on":
        await api.act(box, "power_off")
    fake.misbehave(**{command: trouble})
    assert (await api.act(box, action))["status"] == "errored"
    assert TROUBLES[trouble] in caplog.text
    assert (await api.droplet(box))["status"] == status
    assert (await api.act(box, action))["status"] == "completed"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_volumes_action_that_fails_is_errored(api: Api, box: int, fake: Fake, trouble: str) -> None:
    more = await api.volume("more")
    for kind, free_after in (("attach", True), ("detach", False)):
        fake.misbehave(**{kind: trouble})
        assert await volume_action(api, more, kind, droplet_id=box) == "errored"
        assert await api.is_free(more) is free_after
        assert await volume_action(api, more, kind, droplet_id=box) == "completed"
    assert fake.machine(box)["volumes"] == ["home"]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_removing_is_tried_until_it_has_worked(api: Api, box: int, volume: str, fake: Fake, trouble: str) -> None:
    fake.misbehave(destroy=trouble)
    await api.ok("DELETE", f"/v2/droplets/{box}")
    await eventually(lambda: api.is_free(volume))
    assert fake.state()["machines"] == {}
    fake.misbehave(up=trouble, destroy=trouble)
    await api.ok("DELETE", f"/v2/volumes/{volume}")

    assert await eventually(fake.has_nothing)


@pytest.mark.usefixtures("short")
async def test_while_the_program_hangs_the_api_answers(api: Api, box: int, fake: Fake) -> None:
    fake.misbehave(reboot="hang")
    action = (await api.ok("POST", f"/v2/droplets/{box}/actions", {"type": "reboot"}))["action"]
    async with asyncio.timeout(1):
        assert (await api.ok("GET", f"/v2/actions/{action['id']}"))["action"]["status"] == "in-progress"
    assert (await api.until_ended(action["id"]))["status"] == "errored"


async def test_another_ssh_port_than_the_one_asked_for_is_an_error(
    api: Api, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    fake.misbehave(up="port")
    droplet = await api.create()
    (action,) = (await api.ok("GET", f"/v2/droplets/{droplet}/actions"))["actions"]
    assert (await api.until_ended(action["id"]))["status"] == "errored"
    assert "SSH port at 2346, and droplets are to have 2345" in caplog.text


async def test_a_machine_that_is_gone_is_told_of(
    api: Api, box: int, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    (fake.home / "state.json").unlink()
    assert (await api.act(box, "reboot"))["status"] == "errored"
    assert "is gone" in caplog.text
    await api.ok("DELETE", f"/v2/droplets/{box}")
    assert await api.droplet(box) is None


async def test_a_program_that_does_not_work_is_told_of_at_the_start(settings: Settings, fake: Fake) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--state", str(settings.state), "--droplet-command")
    assert "No such file" in await refused(*arguments, "/nonexistent/droplet")
    fake.path.chmod(0o644)
    assert "Permission denied" in await refused(*arguments, str(fake.path))
    fake.path.chmod(0o755)
    fake.misbehave(ls="fail")
    assert "no good day" in await refused(*arguments[:-1], LOCALCLOUD_DROPLET_COMMAND=str(fake.path))


# ---- restarts ----


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
