"""The directory that stands for a droplet's disk.

Absolute paths of the droplet are re-rooted here. Volumes are directories elsewhere; a mount point is a symbolic
link to one. All functions block: call them in a thread.
"""

import itertools
import os
import shlex
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from environments.localcloud import sshd_config
from environments.localcloud.trees import aside, remove_tree
from environments.localcloud.userdata import Mount

KEYS_LIMIT_BYTES = 1024 * 1024  # of an authorized_keys file
_CLOUD_CONFIG = "comment=cloudconfig"  # by which cloud-init knows its own lines in fstab
_DIRECTORIES = ("etc/ssh", "home", "run/cloud-init", "tmp", "usr/local/bin", "var/lib/cloud/instance", "var/log")

PROFILE = """\
# Put here by the local cloud, because bash reads the /etc/profile of the host and not the droplet's.
if [ -n "${DEVPOCKET_ROOT}" ]; then
    PATH="${DEVPOCKET_ROOT}/usr/local/bin:${PATH}"
    for _file in "${DEVPOCKET_ROOT}"/etc/profile.d/*.sh; do
        [ -r "${_file}" ] && . "${_file}"
    done
    unset _file
fi
if [ -n "${BASH_VERSION}" ] && [ -r "${HOME}/.bashrc" ]; then
    . "${HOME}/.bashrc"
fi
"""
BASHRC = """\
case $- in *i*) ;; *) return ;; esac
if [ -r "${DEVPOCKET_ROOT}/etc/hostname" ]; then
    read -r _host < "${DEVPOCKET_ROOT}/etc/hostname"
    PS1="${USER}@${_host}:\\\\w\\\\$ "
    unset _host
fi
"""
SKELETON = {".profile": PROFILE, ".bashrc": BASHRC}


class OutsideDisk(Exception):
    """A path that leads off the disk."""


class Disk:
    """One droplet's disk: `root` for its own files, `volumes` for the contents of what is attached, by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.volumes: dict[str, Path] = {}
        self._real: dict[Path, Path] = {}  # directories that we put where they are, without links in their paths

    def create(self) -> None:
        """Make the directories that programs expect."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for name in _DIRECTORIES:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)

    def forget_instance(self) -> None:
        """Drop what belonged to the droplet that this disk is a copy of, as cloud-init does for a new instance id."""
        ssh, instance = self.path("/etc/ssh/*").parent, self.path("/var/lib/cloud/instance")
        for key in ssh.glob("ssh_host_*_key*"):
            key.unlink()
        remove_tree(instance)

    def destroy(self) -> None:
        """Remove the disk. What is on volumes stays: links are not followed."""
        remove_tree(self.root)

    def path(self, path: str) -> Path:
        """Where a path of the droplet is on the host.

        Raises:
            OutsideDisk: it goes upwards, or through a link to somewhere off the disk and its volumes.
        """
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise OutsideDisk(path)
        parent = self.root.joinpath(*parts[:-1]).resolve()
        self._check_inside(parent, path)
        return parent / parts[-1] if parts else parent

    def _check_inside(self, target: Path, path: str) -> None:
        if not any(target.is_relative_to(self._resolved(place)) for place in (self.root, *self.volumes.values())):
            raise OutsideDisk(path)

    def _resolved(self, directory: Path) -> Path:
        if directory not in self._real:
            self._real[directory] = directory.resolve()
        return self._real[directory]

    def write(self, path: str, content: bytes, *, mode: int = 0o644, append: bool = False) -> None:
        """Write a file of the droplet, with its directories.

        Raises:
            OutsideDisk: the path is not on the disk.
            OSError: a directory or a link is in the way.
        """
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(target, flags | (os.O_APPEND if append else os.O_TRUNC), 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)

    def read(self, path: str, *, limit_bytes: int = KEYS_LIMIT_BYTES) -> bytes:
        """The content of a regular file of the droplet; empty if it is none, too large, or off the disk."""
        try:
            target = self.path(path).resolve()
            self._check_inside(target, path)
            fd = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (OSError, RuntimeError, OutsideDisk):  # RuntimeError: links in a circle
            return b""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            os.close(fd)
            return b""
        with os.fdopen(fd, "rb") as file:
            return file.read()

    # ---- users ----

    def home_of(self, user: str) -> str | None:
        """The user's home as the droplet calls it, or None if there is no such user."""
        for line in self._lines("/etc/passwd"):
            fields = line.split(":")
            if len(fields) == 7 and fields[0] == user:
                return fields[5]
        return None

    def authorized_keys(self, user: str) -> str:
        """What stands in the files that sshd would look for the user's keys in; empty if there is no such user."""
        home = self.home_of(user)
        if home is None:
            return ""
        named = sshd_config.authorized_keys_files(self._sshd_config())
        paths = [sshd_config.expand(name, user=user, home=home) for name in named]
        return "\n".join(line for path in paths if path for line in self._lines(path))

    def _sshd_config(self) -> list[str]:
        """The texts of sshd's configuration, in the order in which it reads them."""
        names = sorted(place.name for place in (self.root / "etc/ssh/sshd_config.d").glob("[!.]*.conf"))
        return [self.read(f"/etc/ssh/sshd_config.d/{name}").decode("utf-8", "replace") for name in names]

    def write_users(self, keys: Mapping[str, Iterable[str]]) -> None:
        """Make the users (root is one) with their homes and keys. What is there already stays: users, files, keys."""
        passwd = {line.split(":")[0]: line for line in self._lines("/etc/passwd")}
        taken = {line.split(":")[2] for line in passwd.values() if line.count(":") == 6}
        uids = (str(uid) for uid in itertools.count(1000) if str(uid) not in taken)
        for name, user_keys in keys.items():
            home = "/root" if name == "root" else f"/home/{name}"
            if name not in passwd:
                uid = "0" if name == "root" else next(uids)
                passwd[name] = f"{name}:x:{uid}:{uid}::{home}:/bin/bash"
            place = self.path(home + "/.")
            place.mkdir(parents=True, exist_ok=True)
            for file, text in SKELETON.items():
                if not (place / file).exists():
                    self.write(f"{home}/{file}", text.encode())
            (place / ".ssh").mkdir(mode=0o700, exist_ok=True)
            have = self._lines(f"{home}/.ssh/authorized_keys")
            wanted = [key.strip() for key in user_keys if key.strip() not in have]
            text = "".join(f"{line}\n" for line in [*have, *dict.fromkeys(wanted)])
            self.write(f"{home}/.ssh/authorized_keys", text.encode(), mode=0o600)
        self.write("/etc/passwd", "".join(f"{line}\n" for line in passwd.values()).encode())

    def _lines(self, path: str) -> list[str]:
        """The lines of a file, none if there is no such file."""
        return self.read(path).decode("utf-8", "replace").splitlines()

    def environment(self) -> dict[str, str]:
        """The variables of /etc/environment, which pam_env gives to every session."""
        found = {}
        for line in self._lines("/etc/environment"):
            name, separator, value = line.strip().removeprefix("export ").partition("=")
            if separator and name.isidentifier() and "\0" not in value:
                try:
                    found[name] = " ".join(shlex.split(value, comments=True))
                except ValueError:  # an open quote
                    continue
        return found

    # ---- mounts ----

    def add_to_fstab(self, mounts: Iterable[Mount]) -> None:
        """Note what is to be mounted at every boot, in place of what an earlier first boot noted."""
        lines = [line for line in self._lines("/etc/fstab") if _CLOUD_CONFIG not in line]
        lines += [
            " ".join((mount.device, mount.path, mount.options[0], f"{mount.options[1]},{_CLOUD_CONFIG}",
                      *mount.options[2:]))
            for mount in mounts
        ]  # fmt: skip
        self.write("/etc/fstab", "".join(f"{line}\n" for line in lines).encode())

    def fstab(self) -> list[Mount]:
        """What is to be mounted."""
        lines = [line.split() for line in self._lines("/etc/fstab")]
        return [Mount(fields[0], fields[1], tuple(fields[2:])) for fields in lines if len(fields) >= 2]

    def mount_all(self) -> list[str]:
        """Mount what fstab names and is attached; returns the mount points whose own content is now hidden."""
        hidden = []
        for mount in self.fstab():
            content = self.volumes.get(mount.volume_name or "")
            try:
                point = self.path(mount.path)
                if content is None or not point.is_symlink() or point.readlink() != content:
                    self._restore(point)
                    if content is not None:
                        if any(point.iterdir()):
                            hidden.append(mount.path)
                        point.rename(aside(point))
                        point.symlink_to(content)
            except (OSError, OutsideDisk):
                continue  # `nofail`: the boot goes on without it
        return hidden

    def unmount(self, content: Path) -> None:
        """Take a volume's links away, so that what they hid is there again."""
        for mount in self.fstab():
            try:
                point = self.path(mount.path)
                if point.is_symlink() and point.readlink() == content:
                    self._restore(point)
            except (OSError, OutsideDisk):
                continue

    def _restore(self, point: Path) -> None:
        """Make a mount point an ordinary directory, the one that it was before, if it was one."""
        if point.is_symlink():
            point.unlink()
        if aside(point).is_dir() and not point.exists():
            aside(point).rename(point)
        point.mkdir(parents=True, exist_ok=True)
