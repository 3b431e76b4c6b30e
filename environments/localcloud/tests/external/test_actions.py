"""Every action on droplets and volumes, as the program is asked for it, and what it can't do."""

import logging

import pytest

from environments.localcloud.tests.conftest import Api, eventually, public_address
from environments.localcloud.tests.external.conftest import DATA, Fake, volume_action

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
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.partition(": ")[2] for message in errors] == [
        "snapshot failed: The program that runs the droplets can't copy disks and volumes.",
        "rebuild failed: The program that runs the droplets can't copy disks and volumes.",
    ]
    assert not any(record.exc_info for record in caplog.records)
    answer = await api.call("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved"})
    assert answer.status == 422
    assert len(fake.calls()) == calls
    assert (await api.droplet(box))["status"] == "active"
    assert (await api.ok("GET", "/v2/snapshots"))["snapshots"] == []
