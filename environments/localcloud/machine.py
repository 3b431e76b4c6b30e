"""A droplet that is switched on: its disk, its SSH server, its processes."""

import asyncio
import contextlib
import errno
import hashlib
import itertools
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from environments.localcloud import processes, sshd
from environments.localcloud.disk import Disk
from environments.localcloud.firstboot import HOST_KEY_TYPES, FirstBoot, host_key_path
from environments.localcloud.model import Droplet, Volume
from environments.localcloud.processes import ROOT_VARIABLE, Child
from environments.localcloud.settings import Settings
from environments.localcloud.tasks import TaskOwner, in_thread, settled
from environments.localcloud.userdata import Plan, parse_user_data

log = logging.getLogger(__name__)

NETWORK = "127.77"  # loopback, and out of the way of what usually listens there
TRIES = 512  # addresses tried before giving up
TMUX_PARENT = Path("/tmp")  # noqa: S108  short on purpose: a socket's path must stay under 108 bytes (sun_path)


class NoAddress(Exception):
    """No loopback address has this port free."""


def addresses(state: Path) -> Iterator[str]:
    """All addresses of the network, from a place that depends on the state directory, so that several local clouds
    on one machine rarely meet.
    """
    offset = int.from_bytes(hashlib.sha256(os.fsencode(state)).digest()[:4])
    for step in itertools.count():
        number = (offset + step) % (256 * 254)
        yield f"{NETWORK}.{number // 254}.{number % 254 + 1}"


def host_path() -> str:
    """The host's PATH, without the virtual environment that we may run in."""
    parts = os.environ.get("PATH", os.defpath).split(":")
    own = os.environ.get("VIRTUAL_ENV")
    return ":".join(part for part in parts if not (own and part == os.path.join(own, "bin")))


class Machine:
    """The simulated runtime of one droplet. `save` keeps the droplet's record after a change.

    `taken` are the addresses that are of no use to others, to which those found out here are added.
    """

    def __init__(self, settings: Settings, droplet: Droplet, *, taken: set[str], save: Callable[[], None]) -> None:
        self.droplet_id = droplet.id
        self.disk = Disk(settings.droplets_dir / str(droplet.id))
        self.shell = shutil.which("bash", path=host_path()) or "/bin/sh"
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._settings, self._droplet, self._taken, self._save = settings, droplet, taken, save
        self._children: set[Child] = set()
        self._tasks = TaskOwner()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._switching = asyncio.Lock()

    # ---- power ----

    async def boot(self, volumes: Sequence[Volume]) -> None:
        """Switch on: when this returns, SSH is up at the droplet's address. Harmless when it is on already.

        Raises:
            NoAddress: no address is free.
            OSError: the disk can't be written.
        """
        async with self._switching:
            if not self._acceptor:
                await self._boot(volumes)

    async def _boot(self, volumes: Sequence[Volume]) -> None:
        self.disk.volumes = {volume.name: self._settings.volumes_dir / volume.id for volume in volumes}
        plan = await in_thread(parse_user_data, self._droplet.user_data) if self._is_first_boot else Plan()
        first_boot = FirstBoot(
            self._droplet,
            self.disk,
            plan,
            install_s=self._settings.install_s,
            run_commands=self._settings.run_commands,
            environment=lambda: self.environment("root", home="/root"),
            save=self._save,
        )
        if not self._droplet.prepared:
            await in_thread(first_boot.prepare)
        else:
            await in_thread(self.disk.mount_all)
        host_keys = await in_thread(self._host_keys)
        self._make_tmux_dir()
        await settled(self._listen(host_keys))
        self._droplet.prepared = True
        self._save()
        if not self._droplet.installed:
            self._tasks.start(first_boot.play(), name=f"first-boot-{self.droplet_id}")

    @property
    def is_on(self) -> bool:
        """Whether it is switched on."""
        return self._acceptor is not None

    @property
    def _is_first_boot(self) -> bool:
        return not (self._droplet.prepared and self._droplet.installed)

    async def halt(self, *, grace_s: float = 0.0, processes_ended: bool = False) -> None:
        """Switch off: the port closes, all processes end, connections end. Harmless when it is off already.

        `processes_ended` says that the caller has seen to the processes, after `cut_off`.
        """
        async with self._switching:
            if grace_s:
                self._stop_listening()
            else:
                self.cut_off()
            await self._tasks.aclose()
            if not processes_ended:
                sessions = self.sessions()
                await in_thread(processes.end_all, self.disk.root, grace_s=grace_s, sessions=sessions)
            await self._wait_for_the_end()
            await in_thread(self._remove_tmux_dir)

    def cut_off(self) -> None:
        """Take it off the net at once."""
        self._stop_listening()
        for connection in list(self.connections):
            connection.abort()

    def sessions(self) -> list[int]:
        """The process sessions that are under way, by their leaders' ids."""
        return [child.pid for child in self._children]

    def _stop_listening(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor:
            acceptor.close()

    async def _wait_for_the_end(self) -> None:
        """Wait until all children are reaped and all connections are closed."""
        for connection in list(self.connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(processes.KILL_LIMIT_S):
                for child in list(self._children):
                    await child.wait()
                for connection in list(self.connections):
                    await connection.wait_closed()
        for connection in list(self.connections):
            connection.abort()

    async def reboot(self, volumes: Sequence[Volume], *, grace_s: float = 0.0) -> None:
        """Switch off, hard if without a grace, and on."""
        await self.halt(grace_s=grace_s)
        await self.boot(volumes)

    async def resume(self, volumes: Sequence[Volume], *, was_on: bool) -> bool:
        """It ended with the local cloud: boot again if it was on."""
        if was_on:
            await self.boot(volumes)
        return was_on

    async def prepare_rebuild(self) -> None:
        """Switch off."""
        await self.halt()

    async def attach(self, volume: Volume) -> None:
        """Nothing: a volume shows after the next boot."""

    async def detach(self, volume: Volume) -> None:
        """Unmount a volume."""
        await in_thread(self.disk.unmount, self._settings.volumes_dir / volume.id)

    async def destroy(self) -> None:
        """Switch off for good: the disk is gone afterwards, the volumes stay."""
        await self.halt()
        await in_thread(self.disk.destroy)

    # ---- parts of booting ----

    def _host_keys(self) -> list[asyncssh.SSHKey]:
        """The keys on the disk, or a new one that is kept there."""
        keys = []
        for key_type in HOST_KEY_TYPES:
            data = self.disk.read(host_key_path(key_type))
            with contextlib.suppress(asyncssh.KeyImportError, ValueError):
                keys += [asyncssh.import_private_key(data)] if data else []
        if not keys:
            key = asyncssh.generate_private_key("ssh-ed25519", comment=f"root@{self._droplet.name}")
            path = host_key_path("ed25519")
            self.disk.write(path, key.export_private_key(), mode=0o600)
            self.disk.write(f"{path}.pub", key.export_public_key())
            keys.append(key)
        return keys

    def _make_tmux_dir(self) -> None:
        """Make sure that the directory for tmux's sockets is there, and ours alone."""
        names = [hashlib.sha256(os.fsencode(self.disk.root)).hexdigest()[:8]]
        names += [os.urandom(4).hex() for _ in range(8)]
        candidates = [Path(self._droplet.tmux_dir)] if self._droplet.tmux_dir else []
        candidates += [TMUX_PARENT / f"dp-{os.getuid()}-{name}" for name in names]
        for candidate in candidates:
            with contextlib.suppress(FileExistsError):
                candidate.mkdir(mode=0o700)
            status = candidate.lstat()  # somebody else may have put a directory or a link there
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                candidate.chmod(0o700)
                self._droplet.tmux_dir = str(candidate)
                return
        raise OSError(errno.EEXIST, "no directory for tmux's sockets", str(candidates[-1]))

    def _remove_tmux_dir(self) -> None:
        if self._droplet.tmux_dir:
            processes.end_tmux(Path(self._droplet.tmux_dir))
            shutil.rmtree(self._droplet.tmux_dir, ignore_errors=True)

    async def _listen(self, host_keys: list[asyncssh.SSHKey]) -> None:
        own = [self._droplet.address] if self._droplet.address else []
        tries = itertools.islice((a for a in addresses(self._settings.state) if a not in self._taken), TRIES)
        for address in itertools.chain(own, tries):
            self._taken.add(address)  # before anything is awaited: many droplets may be booting
            try:
                self._acceptor = await sshd.listen(self, address, self._settings.ssh_port, host_keys)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                self._droplet.address = address
                return
        raise NoAddress(f"no address in {NETWORK}.0.0/16 has port {self._settings.ssh_port} free")

    # ---- sessions ----

    def environment(self, username: str, *, home: str | None = None) -> dict[str, str]:
        """What a process of this user gets. Nothing else of our own environment leaks in."""
        home = home or self.disk.home_of(username) or "/"
        root = str(self.disk.root)
        own = [f"{root}/usr/local/sbin"] if username == "root" else []
        return {
            "PATH": ":".join([*own, f"{root}/usr/local/bin", host_path()]),
            "LANG": "C.UTF-8",
            **self.disk.environment(),
            "HOME": root + home,
            "PWD": root + home,  # else a home on a volume would be known by the volume's path
            "USER": username,
            "LOGNAME": username,
            "SHELL": self.shell,
            ROOT_VARIABLE: root,
            "TMUX_TMPDIR": self._droplet.tmux_dir or root,
        }

    def sftp_factory(self, username: str) -> Any:
        """What makes SFTP servers for this user's sessions."""
        return sshd.sftp_factory(self.disk, self.disk.home_of(username) or "/")

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
        on_exit: Callable[[Child], None],
    ) -> Child:
        """Start a process of the droplet in its HOME. Raises OSError where that fails."""
        home = Path(env["HOME"])

        def ended(child: Child) -> None:
            self._children.discard(child)
            on_exit(child)

        child = Child(
            argv,
            env=env,
            cwd=home if home.is_dir() else self.disk.root,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            on_exit=ended,
        )
        self._children.add(child)
        return child
