"""What a machine is set up from: data stays data, the same input gives the same text."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.cloud_init import (
    FORMAT_SCRIPT,
    USER_DATA_MAX_BYTES,
    InstallProgress,
    MachineSpec,
    UserDataTooLarge,
    environment_file,
    parse_progress,
    user_data,
)

SPEC = MachineSpec(
    hostname="work-123456",
    volume_name="dp-env-1",
    host_private_key="-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n",
    host_public_key="ssh-ed25519 AAAA devpocket",
    authorized_keys=("ssh-ed25519 BBBB ann",),
    environment_id="1",
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
NASTY = st.sampled_from(
    [
        "'",
        '"',
        "$(id)",
        "`id`",
        "\n",
        "\r\n",
        "#{x}",
        "${HOME}",
        " lead",
        "\\",
        "!",
        "\x85",
        "é",
        "💡",
        "--",
        ": a",
        "*",
    ]
)
VALUES = st.lists(NASTY | TEXTS, max_size=6).map("".join)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("DEVPOCKET_")
)
# What a shell itself sets or refuses to have set.
SHELLS_OWN = {"PPID", "PWD", "OLDPWD", "IFS", "OPTIND", "PS1", "PS2", "PS4", "PATH", "SHLVL", "_", "LC_ALL", "LANG"}


def parsed(spec: MachineSpec) -> dict[str, object]:
    text = user_data(spec)
    assert text.startswith("#cloud-config\n")
    return dict(yaml.safe_load(text))


@settings(max_examples=60)
@given(st.dictionaries(NAMES.filter(lambda name: name not in SHELLS_OWN), VALUES, max_size=5))
def test_variables_come_out_of_a_real_shell_byte_for_byte(variables: dict[str, str]) -> None:
    script = environment_file(variables, environment_id="1") + "exec env -0"
    printed = subprocess.run(
        ["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    ).stdout
    found = dict(line.split(b"=", 1) for line in printed.split(b"\0") if line)
    assert {name: found.get(name.encode()) for name in variables} == {
        name: value.encode() for name, value in variables.items()
    }


@given(hostname=TEXTS, comment=TEXTS, variables=st.dictionaries(NAMES, VALUES, max_size=3), command=TEXTS)
def test_whatever_is_in_the_values_the_structure_stays(
    hostname: str, comment: str, variables: dict[str, str], command: str
) -> None:
    spec = replace(
        SPEC,
        hostname=hostname,
        authorized_keys=(f"ssh-ed25519 BBBB {comment}",),
        variables=variables,
        startup_commands=(command,),
    )
    plain, nasty = parsed(SPEC), parsed(spec)
    assert list(nasty) == list(plain)
    assert nasty["hostname"] == hostname
    [user] = nasty["users"]  # type: ignore[misc]
    assert user["ssh_authorized_keys"] == [f"ssh-ed25519 BBBB {comment}"]
    files = {file["path"]: file["content"] for file in nasty["write_files"]}  # type: ignore[attr-defined]
    assert files["/etc/devpocket/environment.sh"] == environment_file(variables, environment_id="1")
    assert ["runuser", "-u", "devpocket", "--", "bash", "-lc", command] in nasty["runcmd"]  # type: ignore[operator]


def test_the_same_input_gives_the_same_text() -> None:
    one, other = replace(SPEC, variables={"A": "1", "B": "2"}), replace(SPEC, variables={"B": "2", "A": "1"})
    assert user_data(one) == user_data(other)


def test_the_volume_is_never_formatted_over_and_a_missing_one_stops_no_boot() -> None:
    config = parsed(SPEC)
    device = "/dev/disk/by-id/scsi-0DO_Volume_dp-env-1"
    assert "fs_setup" not in config  # it would format a volume that has data (cloud-init issue 3902)
    assert config["bootcmd"] == [["sh", "-c", FORMAT_SCRIPT, "sh", device]]
    assert config["mounts"] == [[device, "/home/devpocket", "ext4", "defaults,nofail,noatime", "0", "2"]]


def test_the_host_key_is_ours_and_root_has_no_login() -> None:
    config = parsed(SPEC)
    assert config["ssh_keys"] == {"ed25519_private": SPEC.host_private_key, "ed25519_public": SPEC.host_public_key}
    assert (config["disable_root"], config["ssh_pwauth"]) == (True, False)


def test_passwords_work_only_where_one_was_set() -> None:
    [without], [with_one] = parsed(SPEC)["users"], parsed(replace(SPEC, password_hash="$6$x"))["users"]  # type: ignore[misc]
    assert (without["lock_passwd"], "passwd" in without) == (True, False)
    assert (with_one["lock_passwd"], with_one["passwd"]) == (False, "$6$x")


def test_text_over_the_clouds_limit_is_refused_before_it_is_sent() -> None:
    fits = replace(SPEC, variables={f"V{number}": "x" * 4000 for number in range(12)})
    assert len(user_data(fits).encode()) <= USER_DATA_MAX_BYTES
    with pytest.raises(UserDataTooLarge):
        user_data(replace(SPEC, variables={f"V{number}": "x" * 4000 for number in range(20)}))


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        ("", InstallProgress()),
        (
            "0 system_setup Preparing\n30 core_tools Installing core tools\n",
            InstallProgress(30, "core_tools", "Installing core tools"),
        ),
        ("30 core_tools A\n20 user_setup late\n", InstallProgress(30, "core_tools", "A")),
        (
            "30 core_tools A\nfailed core_tools No network\n",
            InstallProgress(30, "core_tools", "No network", failed=True),
        ),
        ("100 completion Done\n", InstallProgress(100, "completion", "Done")),
        ("999 completion Done\n", InstallProgress(100, "completion", "Done")),
        ("nonsense\n\n٣ x y\n30", InstallProgress(30, "", "")),
    ],
)
def test_progress_is_read_line_by_line_and_never_falls(text: str, progress: InstallProgress) -> None:
    assert parse_progress(text) == progress


@given(st.text())
def test_any_text_is_some_progress(text: str) -> None:
    assert 0 <= parse_progress(text).percent <= 100
