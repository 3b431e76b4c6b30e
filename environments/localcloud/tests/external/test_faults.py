"""Everything that can go wrong with the program."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from environments.localcloud import external, program
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, eventually
from environments.localcloud.tests.external.conftest import Fake, volume_action
from environments.localcloud.tests.test_cli import refused

InTrouble = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def in_trouble(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> InTrouble:
    """The program misbehaves within, and only there. It has little time only where it hangs: on a busy host, any start
    may take a second. What could not be removed is tried again at once.
    """
    monkeypatch.setattr(program, "LIMITS_S", {"ls": 30.0})
    monkeypatch.setattr(external, "AGAIN_AFTER_S", (0.05,))

    @contextmanager
    def misbehaving(**commands: str) -> Iterator[None]:
        with monkeypatch.context() as limits:
            if "hang" in commands.values():
                limits.setattr(program, "LIMIT_S", 1.5)
            fake.misbehave(**commands)
            yield
            fake.misbehave()

    return misbehaving


TROUBLES = {
    "fail": "no good day (status 1)",
    "hang": "not done after 1.5 s",
    "garbage": "not understood",
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_failed_creation_leaves_nothing_that_is_in_the_way(
    api: Api, volume: str, fake: Fake, in_trouble: InTrouble, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    with in_trouble(up=trouble):
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


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(
    ("action", "command", "status"),
    [("shutdown", "off", "active"), ("power_on", "on", "off"), ("reboot", "reboot", "active")],
)
async def test_an_action_that_fails_is_errored_and_can_be_asked_for_again(
    api: Api,
    box: int,
    in_trouble: InTrouble,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
    action: str,
    command: str,
    status: str,
) -> None:
    if action == "power_on":
        await api.act(box, "power_off")
    with in_trouble(**{command: trouble}):
        assert (await api.act(box, action))["status"] == "errored"
    assert TROUBLES[trouble] in caplog.text
    assert (await api.droplet(box))["status"] == status
    assert (await api.act(box, action))["status"] == "completed"


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_volumes_action_that_fails_is_errored(
    api: Api, box: int, fake: Fake, in_trouble: InTrouble, trouble: str
) -> None:
    more = await api.volume("more")
    for kind, free_after in (("attach", True), ("detach", False)):
        with in_trouble(**{kind: trouble}):
            assert await volume_action(api, more, kind, droplet_id=box) == "errored"
        assert await api.is_free(more) is free_after
        assert await volume_action(api, more, kind, droplet_id=box) == "completed"
    assert fake.machine(box)["volumes"] == ["home"]


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_removing_is_tried_until_it_has_worked(
    api: Api, box: int, volume: str, fake: Fake, in_trouble: InTrouble, trouble: str
) -> None:
    with in_trouble(destroy=trouble):
        await api.ok("DELETE", f"/v2/droplets/{box}")
        await eventually(lambda: api.is_free(volume))
    assert fake.state()["machines"] == {}
    with in_trouble(up=trouble, destroy=trouble):
        await api.ok("DELETE", f"/v2/volumes/{volume}")
        assert await eventually(fake.has_nothing)


async def test_while_the_program_hangs_the_api_answers(api: Api, box: int, in_trouble: InTrouble) -> None:
    with in_trouble(reboot="hang"):
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
