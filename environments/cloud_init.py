"""A droplet's user-data: what cloud-init makes of a bare image on first boot. The same input gives the same text.

Every value from a user or an admin travels as data: YAML scalars written by PyYAML, shell words quoted by shlex, files
of their own. Files are written below `${DEVPOCKET_ROOT}`, which is empty on a real droplet.
"""

from __future__ import annotations

import base64
import gzip
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from environments.set_up.steps import LIB, Recipe, package_line, script, source_files, steps_of

USER = "devpocket"
USER_ID = 1000  # fixed: the files on the volume belong to it, on every machine that the volume comes to
HOME = f"/home/{USER}"
USER_DATA_MAX_BYTES = 64 * 1024  # of the cloud
PROGRESS_FILE = "/var/lib/devpocket/progress"
ENVIRONMENT_FILE = "/etc/devpocket/environment.sh"
KEYS_FILE = "/etc/devpocket/authorized_keys"
TMUX_CONF = "/etc/devpocket/tmux.conf"
SETUP_COMMAND = "/usr/local/sbin/devpocket-setup"
APPLY_COMMAND = "/usr/local/sbin/devpocket-apply"  # reads a new ENVIRONMENT_FILE or KEYS_FILE
BOOT_SCRIPT = "/var/lib/cloud/scripts/per-boot/devpocket"
SHELL_COMMAND = "/usr/local/bin/devpocket-shell"
MAX_SSH_SESSIONS = 64  # sshd's default of 10 a connection is fewer than one user's terminals and our own look-ups
END = "# end\n"  # what devpocket-apply knows a whole text by
SWAP_BELOW_MB, SWAP_BYTES = 1024, 1024**3  # npm and compilers need more than a small machine has

# Once a group "docker" exists, the user can be in it from their first login on, before Docker is there.
GROUP_SCRIPT = "getent group docker >/dev/null || groupadd --system docker"

UPGRADES = """\
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "false";
"""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What one machine is set up from. `password_hash`: crypt(3) text or empty; keys: OpenSSH lines.

    `memory_mb` decides about swap; 0: unknown, none. `recipe`: what its template adds.
    """

    hostname: str
    volume_name: str
    host_private_key: str
    host_public_key: str
    authorized_keys: tuple[str, ...]
    environment_id: str
    memory_mb: int = 0
    password_hash: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)


class UserDataTooLarge(ValueError):
    """The text is over the cloud's 64 KiB, also with its files compressed."""


def environment_file(variables: dict[str, str], *, environment_id: str) -> str:
    """Shell text that exports the variables, each value byte for byte."""
    ours = {"DEVPOCKET_ENVIRONMENT_ID": environment_id}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted({**variables, **ours}.items())]
    return "# Written by DevPocket: what is changed here is written over.\n" + "".join(lines) + END


def authorized_keys_file(keys: Iterable[str]) -> str:
    """The keys that DevPocket lets in, for sshd; those in the home directory are the user's own affair."""
    head = "# Written by DevPocket: what is changed here is written over. Keys of your own: ~/.ssh/authorized_keys\n"
    return head + "".join(f"{key}\n" for key in keys) + END


def user_data(spec: MachineSpec) -> str:
    """The `#cloud-config` text; with compressed files where it would be too large. Raises: UserDataTooLarge."""
    files = _files(spec)
    text = _text(_config(spec, [_plain(*file) for file in files]))
    if len(text.encode()) > USER_DATA_MAX_BYTES:
        text = _text(_config(spec, [min(_plain(*file), _packed(*file), key=_size) for file in files]))
    if len(text.encode()) > USER_DATA_MAX_BYTES:
        raise UserDataTooLarge(
            f"the machine's set-up is {len(text.encode())} bytes long; the cloud takes {USER_DATA_MAX_BYTES}"
        )
    return text


def _config(spec: MachineSpec, files: list[dict[str, str]]) -> dict[str, Any]:
    device = f"/dev/disk/by-id/scsi-0DO_Volume_{spec.volume_name}"
    config: dict[str, Any] = {
        "hostname": spec.hostname,
        "users": [_user(spec)],
        "disable_root": True,
        "ssh_pwauth": bool(spec.password_hash),
        "ssh_deletekeys": True,
        # The host key is ours from the first second, so that no connection is ever made on trust.
        "ssh_keys": {"ed25519_private": spec.host_private_key, "ed25519_public": spec.host_public_key},
        # Not fs_setup: with `partition: none` it formats whatever is there, also with `overwrite: false`
        # (cloud-init issue 3902), and so would take the user's data with every new machine.
        "bootcmd": [["sh", "-c", GROUP_SCRIPT], ["sh", "-c", _Script(script("format-volume.sh")), "sh", device]],
        "mounts": [[device, HOME, "ext4", "defaults,nofail,noatime", "0", "2"]],
        "locale": "C.UTF-8",
        "timezone": "Etc/UTC",
        "write_files": files,
        "runcmd": [[SETUP_COMMAND, step.name] for step in steps_of(spec.recipe)],
    }
    if 0 < spec.memory_mb <= SWAP_BELOW_MB:
        config["swap"] = {"filename": "/swapfile", "size": SWAP_BYTES, "maxsize": SWAP_BYTES}
    return config


def _user(spec: MachineSpec) -> dict[str, Any]:
    user: dict[str, Any] = {
        "name": USER,
        "uid": USER_ID,
        "gecos": "DevPocket",
        "shell": "/bin/bash",
        "groups": ["adm", "sudo", "docker"],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": not spec.password_hash,
    }
    if spec.password_hash:
        user["passwd"] = spec.password_hash
    return user


# --- Files

File = tuple[str, str, str]  # path, content, permissions


def _files(spec: MachineSpec) -> list[File]:
    steps = steps_of(spec.recipe)
    files = [
        (SETUP_COMMAND, _Script(script("devpocket-setup.sh")), "0755"),
        (APPLY_COMMAND, _Script(script("devpocket-apply.sh")), "0755"),
        (BOOT_SCRIPT, _Script(script("devpocket-boot.sh")), "0755"),
        (SHELL_COMMAND, _Script(script("devpocket-shell.sh")), "0755"),
        (TMUX_CONF, _Script(script("tmux.conf")), "0644"),
        ("/etc/profile.d/devpocket.sh", _Script(script("profile.sh")), "0644"),
        ("/etc/ssh/sshd_config.d/10-devpocket.conf", _Script(_sshd_config(spec)), "0644"),
        ("/etc/apt/apt.conf.d/52devpocket-upgrades", _Script(UPGRADES), "0644"),
        (KEYS_FILE, authorized_keys_file(spec.authorized_keys), "0644"),
        # For root alone until devpocket-apply gives it to the user's group, which isn't there yet.
        (ENVIRONMENT_FILE, environment_file(spec.variables, environment_id=spec.environment_id), "0600"),
        (f"{LIB}/apt.sh", _Script(script("apt.sh")), "0644"),
        (f"{LIB}/steps.list", _Script("".join(step.line for step in steps)), "0644"),
    ]
    for step in steps:
        if step.text:
            text = _Script(step.text) if step.is_ours else step.text
            files.append((f"{LIB}/steps/{step.name}", text, "0755"))
    if any(step.name == "packages" for step in steps):
        files.append((f"{LIB}/packages.list", "".join(map(package_line, spec.recipe.packages)), "0644"))
        for source in spec.recipe.sources:
            files += [(path, content, "0644") for path, content in source_files(source).items()]
    files += [(own["path"], own["content"], own.get("permissions", "0644")) for own in spec.recipe.files]
    return files


def _sshd_config(spec: MachineSpec) -> str:
    """Read before the image's own settings, of which sshd takes the first."""
    return (
        f"AuthorizedKeysFile {KEYS_FILE} .ssh/authorized_keys\n"
        "PermitRootLogin no\n"
        f"PasswordAuthentication {'yes' if spec.password_hash else 'no'}\n"
        "KbdInteractiveAuthentication no\n"
        "PermitEmptyPasswords no\n"
        "X11Forwarding no\n"
        f"MaxSessions {MAX_SSH_SESSIONS}\n"
        "ClientAliveInterval 30\n"
        "ClientAliveCountMax 4\n"
    )


def _plain(path: str, content: str, permissions: str) -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


def _packed(path: str, content: str, permissions: str) -> dict[str, str]:
    packed = base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode()
    return {"path": path, "permissions": permissions, "encoding": "gz+b64", "content": packed}


def _size(entry: dict[str, str]) -> int:
    return len(_text({"file": entry}))


# --- YAML


class _Script(str):
    """A text of our own, for people to read: written as a block. Other texts are quoted, whatever is in them."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # the C one is 8 times faster
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    _Script, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def _text(config: dict[str, Any]) -> str:
    # Our order and wide lines: two runs give the same bytes. ASCII only: written as it is, U+0085 is read as a newline.
    dumped = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=4096)
    return "#cloud-config\n" + dumped


# --- What the machine tells of it


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """The machine's own account of its set-up. `percent` 0 to 100; `failed`: the last that it told is a failure.

    A failure of the sub-phase `completion` is the end of a run; after another one the next step goes on.
    """

    percent: int = 0
    phase: str = "system_setup"
    message: str = ""
    failed: bool = False

    @property
    def is_complete(self) -> bool:
        return self.percent >= 100 and not self.failed


_LINE = re.compile(r"(?:[0-9T:-]{19}Z )?(?P<head>failed|[0-9]{1,3})(?: (?P<phase>\S*)(?: (?P<message>.*))?)?")


def parse_progress(text: str) -> InstallProgress:
    """Read the progress file. Total: lines that don't fit are passed over; the percentage never falls."""
    latest = InstallProgress()
    for line in text.splitlines():
        if (found := _LINE.fullmatch(line)) is None:
            continue
        failed = found["head"] == "failed"
        percent = latest.percent if failed else min(100, int(found["head"]))
        if failed or percent >= latest.percent or latest.failed:
            phase, message = (found["phase"] or "")[:40], (found["message"] or "")[:200]
            latest = InstallProgress(max(percent, latest.percent), phase, message, failed)
    return latest
