"""A droplet's user-data: what cloud-init makes of a bare image on first boot. The same input gives the same text.

Every value from a user or an admin travels as data: YAML scalars written by PyYAML, shell words quoted by shlex,
arguments of argv lists. Files are written below `${DEVPOCKET_ROOT}`, which is empty on a real droplet.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

import yaml

USER = "devpocket"
HOME = f"/home/{USER}"
USER_DATA_MAX_BYTES = 64 * 1024  # of the cloud
PROGRESS_FILE = "/var/lib/devpocket/progress"
ENVIRONMENT_FILE = "/etc/devpocket/environment.sh"
TMUX_CONF = "/etc/devpocket/tmux.conf"
PROGRESS_COMMAND = "/usr/local/bin/devpocket-progress"
SHELL_COMMAND = "/usr/local/bin/devpocket-shell"
INSTALL_COMMAND = "/usr/local/bin/devpocket-install"
MAX_SSH_SESSIONS = 64  # sshd's default of 10 a connection is fewer than one user's terminals and our own look-ups

BASE_PACKAGES = ("ca-certificates", "curl", "git", "htop", "nano", "python3", "python3-pip", "tmux", "vim", "wget")

# One line a step: percent, sub-phase (contract 9.5), message. A line "failed ..." ends the set-up.
PROGRESS_SCRIPT = f"""\
#!/bin/sh
# devpocket-progress PERCENT SUBPHASE MESSAGE: tell how far the set-up is.
set -eu
file="${{DEVPOCKET_ROOT:-}}{PROGRESS_FILE}"
mkdir -p "${{file%/*}}"
printf '%s %s %s\\n' "$1" "$2" "$3" >> "$file"
"""

# Packages come over the network: three tries, and a failure is told instead of a machine that lacks half.
INSTALL_SCRIPT = f"""\
#!/bin/sh
# devpocket-install SUBPHASE PACKAGE...: install distribution packages.
set -u
phase=$1
shift
export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3; do
    if apt-get -qq update && apt-get -qq install -y --no-install-recommends -- "$@"; then exit 0; fi
    sleep $((try * 5))
done
{PROGRESS_COMMAND} failed "$phase" "Packages could not be installed"
exit 1
"""

# What tmux runs in a new window: the variables as they are now, then the user's login shell.
SHELL_SCRIPT = f"""\
#!/bin/sh
[ -r "${{DEVPOCKET_ROOT:-}}{ENVIRONMENT_FILE}" ] && . "${{DEVPOCKET_ROOT:-}}{ENVIRONMENT_FILE}"
exec "${{SHELL:-/bin/bash}}" -l
"""

TMUX_CONFIG = f"""\
set -g status off
set -g window-size latest
set -g default-terminal xterm-256color
set -g default-command 'exec "${{DEVPOCKET_ROOT:-}}{SHELL_COMMAND}"'
set -g history-limit 50000
set -g mouse on
set -g set-clipboard on
set -g focus-events on
set -s escape-time 10
set -as terminal-features ',xterm-256color:RGB:clipboard:title'
"""

# The cloud may attach the volume a little after the machine began to boot. It is formatted only when it is blank in
# two ways: blkid finds nothing on it, and its first 4 MiB can be read and are all zero.
FORMAT_SCRIPT = """\
for i in $(seq 60); do [ -e "$1" ] && break; sleep 1; done
[ -e "$1" ] || exit 0
blkid -p "$1" >/dev/null 2>&1
[ $? -eq 2 ] || exit 0
[ "$(head -c 4194304 "$1" | wc -c)" -eq 4194304 ] || exit 0
[ "$(head -c 4194304 "$1" | tr -d '\\0' | wc -c)" -eq 0 ] || exit 0
mkfs.ext4 -q "$1"
"""

SSHD_CONFIG = f"""\
PermitRootLogin no
MaxSessions {MAX_SSH_SESSIONS}
ClientAliveInterval 30
ClientAliveCountMax 4
"""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What one machine is set up from. `password_hash`: crypt(3) text or empty; keys: OpenSSH lines.

    `is_set_up`: its disk comes from a snapshot, with all that was installed: only what is new to it is written.
    """

    hostname: str
    volume_name: str
    host_private_key: str
    host_public_key: str
    authorized_keys: tuple[str, ...]
    environment_id: str
    password_hash: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    startup_commands: tuple[str, ...] = ()
    is_set_up: bool = False


class UserDataTooLarge(ValueError):
    """The text is over the cloud's 64 KiB."""


def environment_file(variables: dict[str, str], *, environment_id: str) -> str:
    """Shell text that exports the variables, each value byte for byte."""
    ours = {"DEVPOCKET_ENVIRONMENT_ID": environment_id}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted({**variables, **ours}.items())]
    return "\n".join(lines) + "\n"


def user_data(spec: MachineSpec) -> str:
    """The `#cloud-config` text. Raises: UserDataTooLarge."""
    device = f"/dev/disk/by-id/scsi-0DO_Volume_{spec.volume_name}"
    config = {
        "hostname": spec.hostname,
        "users": [_user(spec)],
        "disable_root": True,
        "ssh_pwauth": bool(spec.password_hash),
        "ssh_deletekeys": True,
        # The host key is ours from the first second, so that no connection is ever made on trust.
        "ssh_keys": {"ed25519_private": spec.host_private_key, "ed25519_public": spec.host_public_key},
        # Not fs_setup: with `partition: none` it formats whatever is there, also with `overwrite: false`
        # (cloud-init issue 3902), and so would take the user's data with every new machine.
        "bootcmd": [["sh", "-c", FORMAT_SCRIPT, "sh", device]],
        "mounts": [[device, HOME, "ext4", "defaults,nofail,noatime", "0", "2"]],
        "write_files": [
            _file(PROGRESS_COMMAND, PROGRESS_SCRIPT, "0755"),
            _file(INSTALL_COMMAND, INSTALL_SCRIPT, "0755"),
            _file(SHELL_COMMAND, SHELL_SCRIPT, "0755"),
            _file(TMUX_CONF, TMUX_CONFIG, "0644"),
            _file(ENVIRONMENT_FILE, environment_file(spec.variables, environment_id=spec.environment_id), "0644"),
            _file("/etc/profile.d/devpocket.sh", f"[ -r {ENVIRONMENT_FILE} ] && . {ENVIRONMENT_FILE}\n", "0644"),
            _file("/etc/ssh/sshd_config.d/10-devpocket.conf", SSHD_CONFIG, "0644"),
        ],
        "runcmd": _commands(spec),
    }
    # Our order and wide lines: two runs give the same bytes. ASCII only: written as it is, U+0085 is read as a newline.
    text = "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=False, width=4096)
    if len(text.encode()) > USER_DATA_MAX_BYTES:
        raise UserDataTooLarge(
            f"the machine's set-up is {len(text.encode())} bytes long; the cloud takes {USER_DATA_MAX_BYTES}"
        )
    return text


def _user(spec: MachineSpec) -> dict[str, Any]:
    user: dict[str, Any] = {
        "name": USER,
        "gecos": "DevPocket",
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": not spec.password_hash,
        "ssh_authorized_keys": list(spec.authorized_keys),
    }
    if spec.password_hash:
        user["passwd"] = spec.password_hash
    return user


def _file(path: str, content: str, permissions: str) -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


def _commands(spec: MachineSpec) -> list[list[str]]:
    def progress(percent: int, phase: str, message: str) -> list[str]:
        return [PROGRESS_COMMAND, str(percent), phase, message]

    if spec.is_set_up:
        return [["loginctl", "enable-linger", USER], progress(100, "completion", "Set-up complete")]

    commands = [
        progress(0, "system_setup", "Preparing the system"),
        # The home is the volume, which useradd found there already: it neither owned nor filled it.
        ["sh", "-c", f"cp -an --no-target-directory /etc/skel {HOME}; chown {USER}:{USER} {HOME} {HOME}/.[a-z]*"],
        progress(20, "user_setup", "Setting up your account"),
        ["install", "-d", "-m", "0700", "-o", USER, "-g", USER, f"{HOME}/.tmux"],
        ["loginctl", "enable-linger", USER],
        progress(30, "core_tools", "Installing core tools"),
        [INSTALL_COMMAND, "core_tools", *BASE_PACKAGES],
        progress(60, "development_tools", "Installing development tools"),
    ]
    if spec.packages:
        commands.append([INSTALL_COMMAND, "development_tools", *spec.packages])
    commands.append(progress(80, "configuration", "Configuring"))
    commands += [["runuser", "-u", USER, "--", "bash", "-lc", command] for command in spec.startup_commands]
    commands.append(progress(100, "completion", "Set-up complete"))
    return commands


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """The machine's own account of its set-up. `percent` 0 to 100; `failed`: it can't be completed."""

    percent: int = 0
    phase: str = "system_setup"
    message: str = ""
    failed: bool = False

    @property
    def is_complete(self) -> bool:
        return self.percent >= 100 and not self.failed


def parse_progress(text: str) -> InstallProgress:
    """Read the progress file. Total: lines that don't fit are passed over; a failure, once told, stays."""
    latest = InstallProgress()
    for line in text.splitlines():
        head, _, rest = line.partition(" ")
        phase, _, message = rest.partition(" ")
        if head == "failed":
            return InstallProgress(latest.percent, phase[:40], message[:200], failed=True)
        if head.isascii() and head.isdigit() and len(head) <= 3 and int(head) >= latest.percent:
            latest = InstallProgress(min(100, int(head)), phase[:40], message[:200])
    return latest
