"""Reading user-data, and the first boot."""

import base64
import gzip
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api, Box, Login, boot, eventually, faster
from environments.localcloud.userdata import File, Mount, User, parse_user_data


def packed(text: str) -> dict[str, str]:
    """The content of a write_files entry, as user-data that has to be small writes it."""
    return {"encoding": "gz+b64", "content": base64.b64encode(gzip.compress(text.encode())).decode()}


def plan_of(**config: Any) -> Any:
    return parse_user_data("#cloud-config\n" + yaml.safe_dump(config))


def test_a_config_is_understood() -> None:
    plan = plan_of(
        hostname="box",
        users=["default", "plain", {"name": "dev", "ssh_authorized_keys": ["ssh-ed25519 A"], "sudo": "ALL"}],
        mounts=[["/dev/disk/by-id/scsi-0DO_Volume_home-1", "/home/dev", "ext4"], ["swap", None, "swap"]],
        packages=["git", ["tmux", "3.4"]],
        runcmd=["apt-get update", ["echo", "a b"]],
        unknown={"x": 1},
    )
    assert plan.hostname == "box"
    assert plan.users == [User("plain", ()), User("dev", ("ssh-ed25519 A",))]
    mount = Mount("/dev/disk/by-id/scsi-0DO_Volume_home-1", "/home/dev", ("ext4", "defaults,nofail", "0", "2"))
    assert plan.mounts == [mount]
    assert mount.volume_name == "home-1"
    assert [command.text for command in plan.commands] == [
        "apt-get --assume-yes install git tmux=3.4",
        "apt-get update",
        "echo 'a b'",
    ]
    assert plan.commands[2].argv == ("echo", "a b")


@pytest.mark.parametrize("encoding", ["b64", "gz+b64", "gzip+base64"])
def test_files_can_be_encoded(encoding: str) -> None:
    content = b"\0\xff text"
    packed = gzip.compress(content) if encoding.startswith("gz") else content
    entry = {"path": "/f", "content": base64.b64encode(packed).decode(), "encoding": encoding, "permissions": "0750"}
    assert plan_of(write_files=[entry]).files == [File("/f", content, 0o750, append=False, late=False)]


def test_permissions_may_be_a_yaml_octal_number() -> None:
    assert parse_user_data("#cloud-config\nwrite_files: [{path: /f, permissions: 0600}]").files[0].mode == 0o600


# Thirty lists, each of them twice the one before: 2^30 items to whoever writes it out.
LAUGHS = "#cloud-config\na0: &a0 [[{}]]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "#cloud-config\n- a list",
        "#cloud-config\n{",
        "#cloud-config\n" + "[" * 30_000,
        "#cloud-config\nwrite_files: [{path: /../../etc/passwd}]",
        "#cloud-config\nwrite_files: [{path: /f, content: '%%%', encoding: gz+b64}]",
        "#cloud-config\nwrite_files: [{path: /f, permissions: '0999'}]",
        '#cloud-config\nwrite_files: [{path: "/f\\0"}]',
        "#cloud-config\nusers: [{name: '../../root'}]",
        "#cloud-config\nusers: [{name: 'a:b'}]",
        "#cloud-config\nusers: [[1]]",
        "#cloud-config\nmounts: [[a, /../x]]",
        "#cloud-config\nruncmd: [{a: b}]",
        "#cloud-config\nhostname: [x]",
        "#cloud-config\nssh_keys: x",
        "#cloud-config\n" + "- " * 30_000 + "x",
        LAUGHS + "hostname: *a29",
        LAUGHS + "users: [{name: *a29}]",
        LAUGHS + "mounts: [*a29]",
        LAUGHS + "write_files: [*a29]",
        LAUGHS + "write_files: [{path: /f, content: *a29}]",
    ],
)
def test_what_is_not_understood_is_told(text: str) -> None:
    plan = parse_user_data(text)
    assert len(plan.errors) == 1
    assert len(plan.errors[0]) < 1000
    assert not plan.files


def test_a_bomb_is_refused() -> None:
    bomb = base64.b64encode(gzip.compress(b"\0" * 2**25)).decode()
    assert "too large" in plan_of(write_files=[{"path": "/f", "content": bomb, "encoding": "gz+b64"}]).errors[0]


_TEXT = st.text("ab/.:-_~ \n\t\0#&*'\"[]{}é", max_size=20)  # a small alphabet: building the whole one takes seconds
_YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT | st.integers(), inner, max_size=4),
    max_leaves=12,
)
_KEYS = ("hostname", "users", "ssh_keys", "ssh_authorized_keys", "write_files", "mounts", "packages", "runcmd")


@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.sampled_from(_KEYS), _YAML))
def test_any_config_gives_a_plan(config: dict[str, Any]) -> None:
    plan_of(**config)


@hypothesis_settings(deadline=None)
@given(_TEXT)
def test_any_text_gives_a_plan(text: str) -> None:
    parse_user_data(text)
    parse_user_data("#cloud-config\n" + text)


# ---- the first boot ----

LOG = "var/log/cloud-init-output.log"


async def until_installed(box: Box) -> str:
    """The log, once the first boot is over."""

    async def probe() -> str:
        finished = box.disk / "var/lib/cloud/instance/boot-finished"
        return (box.disk / LOG).read_text() if finished.exists() else ""

    return str(await eventually(probe))


async def test_commands_are_played_and_only_the_allowed_program_runs(
    api: Api, settings: Settings, login: Login
) -> None:
    script = '#!/bin/sh\necho "$HOME $1"; echo ran >> "${DEVPOCKET_ROOT}/var/log/ran"; touch "${DEVPOCKET_ROOT}/$2"\n'
    write = [
        {"path": f"/usr/local/sbin/{name}", "permissions": "0755", **packed(script)}
        for name in ("devpocket-setup", "other")
    ]
    commands = [
        "touch /should-not-exist; devpocket-setup string string",
        ["/usr/local/sbin/devpocket-setup", "core tools", "one"],
        ["devpocket-setup", "second", "two"],
        ["/usr/local/sbin/other", "x", "three"],
        ["/bin/devpocket-setup", "x", "four"],
    ]
    box = await boot(api, settings.state, login, user_data=login.user_data(write_files=write, runcmd=commands))
    lines = (await until_installed(box)).splitlines()
    assert lines[0].startswith("Cloud-init v. ")
    start = next(number for number, line in enumerate(lines) if "running 'modules:final'" in line)
    root = f"{box.disk}/root"
    assert lines[start + 1 : -1] == [
        "+ touch /should-not-exist; devpocket-setup string string",
        "+ /usr/local/sbin/devpocket-setup 'core tools' one",
        f"{root} core tools",
        "+ devpocket-setup second two",
        f"{root} second",
        "+ /usr/local/sbin/other x three",
        "+ /bin/devpocket-setup x four",
    ]
    assert " finished at " in lines[-1]
    assert [(box.disk / name).exists() for name in ("one", "two", "three", "four", "string")] == [True] * 2 + [
        False
    ] * 3
    assert json.loads((box.disk / "run/cloud-init/result.json").read_text())["v1"]["errors"] == []
    status = json.loads((box.disk / "run/cloud-init/status.json").read_text())["v1"]
    assert status["stage"] is None
    assert status["modules-final"]["finished"] >= status["modules-final"]["start"] >= status["init"]["start"]


async def test_files_land_below_the_disk_with_their_modes(api: Api, settings: Settings, login: Login) -> None:
    write = [
        {"path": "/etc/motd", "content": "one\n"},
        {"path": "/etc/motd", "content": "two\n", "append": True},
        {"path": "relative", "content": "x", "permissions": "0600"},
        {"path": "/home/devpocket/late", "content": "late", "defer": True},
        {"path": "/etc/motd/below", "content": "x"},
    ]
    box = await boot(api, settings.state, login, user_data=login.user_data(write_files=write))
    log = await until_installed(box)
    assert (box.disk / "etc/motd").read_text() == "one\ntwo\n"
    assert (box.disk / "relative").stat().st_mode & 0o777 == 0o600
    assert (box.disk / "home/devpocket/late").read_text() == "late"
    assert "WARNING]: write_files: /etc/motd/below" in log
    assert (box.disk / "etc/hostname").read_text() == "box\n"


@pytest.mark.parametrize("user_data", ["#cloud-config\n{", "nonsense", "#!/bin/sh\ntouch /never\n", "", "\0"])
async def test_any_user_data_boots(api: Api, settings: Settings, login: Login, user_data: str) -> None:
    box = await boot(api, settings.state, login, user_data=user_data)
    log = await until_installed(box)
    assert ("WARNING" in log) == (user_data not in ("", "#!/bin/sh\ntouch /never\n"))
    assert ("+ /var/lib/cloud/instance/scripts/part-001" in log) == user_data.startswith("#!")


async def test_ssh_is_up_while_commands_are_still_played(settings: Settings, validator: Any, login: Login) -> None:
    async with running(faster(settings, install_s=600)) as cloud:
        api = Api(cloud.url, validator)
        box = await boot(api, settings.state, login, user_data=login.user_data(runcmd=["one", "two"]))
        async with box.connect() as connection:
            result = await connection.run("cat ${DEVPOCKET_ROOT}/var/log/cloud-init-output.log", check=True)
            assert "+ one" in str(result.stdout)
            status = json.loads((box.disk / "run/cloud-init/status.json").read_text())
            assert status["v1"]["stage"] == "modules-final"
        await api.act(box.id, "reboot")
        assert (box.disk / LOG).read_text().count("modules:final") <= 2
