"""What a machine is set up from: data stays data, the same input gives the same text."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from random import Random

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.cloud_init import (
    ENVIRONMENT_FILE,
    KEYS_FILE,
    USER_DATA_MAX_BYTES,
    InstallProgress,
    MachineSpec,
    UserDataTooLarge,
    authorized_keys_file,
    environment_file,
    parse_progress,
    user_data,
)
from environments.set_up import steps
from environments.set_up.steps import LIB, Recipe, script, steps_of

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


@pytest.fixture(scope="module")
def login_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose login shells read our profile, which reads `environment.sh` there."""
    home = tmp_path_factory.mktemp("home")
    profile = script("profile.sh").replace(ENVIRONMENT_FILE, str(home / "environment.sh"))
    (home / ".bash_profile").write_text(profile)
    return home


@settings(max_examples=60)
@given(st.dictionaries(NAMES.filter(lambda name: name not in SHELLS_OWN), VALUES, max_size=5))
def test_variables_come_out_of_a_real_login_shell_byte_for_byte(login_home: Path, variables: dict[str, str]) -> None:
    (login_home / "environment.sh").write_bytes(environment_file(variables, environment_id="1").encode())
    printed = subprocess.run(
        ["bash", "--login", "-c", "exec env -0"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(login_home)},
        capture_output=True,
        check=True,
    ).stdout
    found = dict(line.split(b"=", 1) for line in printed.split(b"\0") if line)
    assert {name: found.get(name.encode()) for name in variables} == {
        name: value.encode() for name, value in variables.items()
    }


def test_a_variable_of_the_greatest_length_comes_out_whole(login_home: Path) -> None:
    value = ("a'b\"$(id)`id`#{x}\n  é💡\\" * 400)[:4096]
    (login_home / "environment.sh").write_bytes(environment_file({"BIG": value}, environment_id="1").encode())
    printed = subprocess.run(
        ["bash", "--login", "-c", 'printf %s "$BIG"'],
        env={"PATH": "/usr/bin:/bin", "HOME": str(login_home)},
        capture_output=True,
        check=True,
    ).stdout
    assert printed.decode() == value


def files_of(config: dict[str, object]) -> dict[str, str]:
    """The content of each of its files."""
    found = {}
    for file in config["write_files"]:  # type: ignore[attr-defined]
        content = file["content"]
        if file.get("encoding"):
            assert file["encoding"] == "gz+b64"
            content = gzip.decompress(base64.b64decode(content)).decode()
        found[file["path"]] = content
    return found


@settings(max_examples=50)
@given(hostname=TEXTS, comment=TEXTS, variables=st.dictionaries(NAMES, VALUES, max_size=3), command=TEXTS)
def test_whatever_is_in_the_values_the_structure_stays(
    hostname: str, comment: str, variables: dict[str, str], command: str
) -> None:
    plain_spec = replace(SPEC, recipe=Recipe(packages=("x",), root_commands=("a",), commands=("b",)))
    source = {"name": "s", "uri": command, "suites": [comment], "components": [hostname], "key": command}
    own = {"path": "/etc/x", "content": command}
    nasty_spec = replace(
        SPEC,
        hostname=hostname,
        authorized_keys=(f"ssh-ed25519 BBBB {comment}",),
        variables=variables,
        recipe=Recipe(
            packages=(comment,), sources=(source,), files=(own,), root_commands=(command,), commands=(hostname,)
        ),
    )
    plain, nasty = parsed(plain_spec), parsed(nasty_spec)
    assert list(nasty) == list(plain)
    assert nasty["hostname"] == hostname
    assert nasty["runcmd"] == plain["runcmd"]
    assert nasty["users"] == plain["users"]
    before, after = files_of(plain), files_of(nasty)
    assert set(after) == set(before) | {"/etc/x", "/etc/apt/keyrings/s.asc", f"{LIB}/sources/s.sources"}
    assert after[KEYS_FILE] == authorized_keys_file([f"ssh-ed25519 BBBB {comment}"])
    assert after[ENVIRONMENT_FILE] == environment_file(variables, environment_id="1")
    assert (after[f"{LIB}/steps/root-1"], after[f"{LIB}/steps/command-1"]) == (f"{command}\n", f"{hostname}\n")
    theirs = {KEYS_FILE, ENVIRONMENT_FILE, f"{LIB}/steps/root-1", f"{LIB}/steps/command-1", f"{LIB}/packages.list"}
    assert {path: text for path, text in after.items() if path in before and path not in theirs} == {
        path: text for path, text in before.items() if path not in theirs
    }


def test_the_same_input_gives_the_same_text() -> None:
    one, other = replace(SPEC, variables={"A": "1", "B": "2"}), replace(SPEC, variables={"B": "2", "A": "1"})
    assert user_data(one) == user_data(other)
    large = {f"V{number}": "x" * 4000 for number in range(90)}
    assert user_data(replace(SPEC, variables=large)) == user_data(replace(SPEC, variables=large))


def test_the_volume_is_never_formatted_over_and_a_missing_one_stops_no_boot() -> None:
    config = parsed(SPEC)
    device = "/dev/disk/by-id/scsi-0DO_Volume_dp-env-1"
    assert "fs_setup" not in config  # it would format a volume that has data (cloud-init issue 3902)
    assert ["sh", "-c", script("format-volume.sh"), "sh", device] in config["bootcmd"]  # type: ignore[operator]
    assert config["mounts"] == [[device, "/home/devpocket", "ext4", "defaults,nofail,noatime", "0", "2"]]


def test_the_host_key_is_ours_and_root_has_no_login() -> None:
    config = parsed(SPEC)
    assert config["ssh_keys"] == {"ed25519_private": SPEC.host_private_key, "ed25519_public": SPEC.host_public_key}
    assert (config["disable_root"], config["ssh_pwauth"]) == (True, False)
    assert "PermitRootLogin no\n" in files_of(config)["/etc/ssh/sshd_config.d/10-devpocket.conf"]


def test_passwords_work_only_where_one_was_set() -> None:
    bare, with_hash = parsed(SPEC), parsed(replace(SPEC, password_hash="$6$x"))
    [without], [with_one] = bare["users"], with_hash["users"]  # type: ignore[misc]
    assert (without["lock_passwd"], "passwd" in without) == (True, False)
    assert (with_one["lock_passwd"], with_one["passwd"]) == (False, "$6$x")
    sshd = "/etc/ssh/sshd_config.d/10-devpocket.conf"
    assert "PasswordAuthentication no\n" in files_of(bare)[sshd]
    assert "PasswordAuthentication yes\n" in files_of(with_hash)[sshd]


@pytest.mark.parametrize(("memory_mb", "has_swap"), [(0, False), (512, True), (1024, True), (2048, False)])
def test_small_machines_get_swap(memory_mb: int, has_swap: bool) -> None:
    assert ("swap" in parsed(replace(SPEC, memory_mb=memory_mb))) is has_swap


def test_text_over_the_clouds_limit_is_compressed_and_refused_where_that_does_not_help() -> None:
    fits = {f"V{number}": "x" * 4000 for number in range(90)}
    config = parsed(replace(SPEC, variables=fits))
    assert len(user_data(replace(SPEC, variables=fits)).encode()) <= USER_DATA_MAX_BYTES
    assert files_of(config)[ENVIRONMENT_FILE] == environment_file(fits, environment_id="1")
    noise = {f"V{number}": base64.b85encode(bytes(range(256)) * 12 + bytes([number])).decode() for number in range(99)}
    assert len(user_data(replace(SPEC, variables=noise)).encode()) <= USER_DATA_MAX_BYTES
    with pytest.raises(UserDataTooLarge):
        user_data(replace(SPEC, recipe=Recipe(commands=tuple(random_text(number) for number in range(30)))))


def random_text(seed: int) -> str:
    return Random(seed).randbytes(2000).hex()


SCHEMA = json.loads((Path(steps.__file__).parent / "cloud-config-schema.json").read_text())


@pytest.mark.parametrize("password_hash", ["", "$6$rounds=100000$salt$hash"])
def test_cloud_inits_own_schema_takes_it(password_hash: str) -> None:
    recipe = Recipe(
        packages=("a | b",),
        sources=({"name": "s", "uri": "https://x", "suites": ["y"], "components": ["z"], "key": "k"},),
        files=({"path": "/etc/x", "content": "é\u0085\n"},),
        root_commands=("true",),
        commands=("true",),
    )
    spec = replace(SPEC, password_hash=password_hash, memory_mb=512, recipe=recipe)
    jsonschema.Draft4Validator(SCHEMA).validate(parsed(spec))


def test_a_template_without_packages_has_no_step_for_them() -> None:
    assert "packages" not in [step.name for step in steps_of(Recipe())]
    assert "packages" in [step.name for step in steps_of(Recipe(packages=("x",)))]


def test_steps_go_up_in_order_and_end_with_the_finish() -> None:
    recipe = Recipe(packages=("x",), root_commands=("a",) * 3, commands=("b",) * 100)
    found = steps_of(recipe)
    assert [step.percent for step in found] == sorted(step.percent for step in found)
    assert (found[-1].name, len({step.name for step in found})) == ("finish", len(found))


def test_an_operator_can_leave_steps_out() -> None:
    assert {"node", "docker"}.isdisjoint(step.name for step in steps_of(Recipe(skips=frozenset({"node", "docker"}))))


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
        (
            "2026-01-31T12:00:00Z 30 core_tools Installing core tools\n"
            "2026-01-31T12:00:05Z failed core_tools No\n2026-01-31T12:00:06Z 60 development_tools B\n",
            InstallProgress(60, "development_tools", "B"),
        ),
        (
            "95 configuration A\nfailed completion Not installed: node\n66 development_tools Again\n",
            InstallProgress(95, "development_tools", "Again"),
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
