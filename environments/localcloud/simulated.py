"""Simulated machines: the fleet of those in machine.py."""

import asyncio
import errno
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from environments.localcloud import processes
from environments.localcloud.fleet import CannotStart
from environments.localcloud.machine import Machine, addresses
from environments.localcloud.model import Droplet, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import in_thread
from environments.localcloud.trees import Copy, copied, remove_tree

PROBES = 8  # addresses tried before saying that the SSH port is taken everywhere


class SimulatedFleet:
    """SSH servers and processes on this machine; disks and volumes are directories."""

    copy: Callable[[Copy], Awaitable[int]] = staticmethod(copied)

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._machines: dict[int, Machine] = {}
        self._taken = {droplet.address for droplet in store.droplets.values() if droplet.address}

    @classmethod
    async def check(cls, settings: Settings) -> None:
        if shutil.which("tmux") is None:
            raise CannotStart("tmux is not installed; the droplets' terminals need it")
        check_droplet_addresses(settings)

    @classmethod
    def banner(cls, settings: Settings) -> str:
        return (
            "This is a simulator, not a cloud: every droplet's shell runs on this machine, as the user who started it, "
            f"with all that this user may do. State is in {settings.state}."
        )

    async def start(self) -> None:
        droplets_dir = self._settings.droplets_dir
        droplets_dir.mkdir(mode=0o700, exist_ok=True)
        await in_thread(processes.end_all, droplets_dir, below=True)
        known = {str(droplet_id) for droplet_id in self._store.droplets}
        for leftover in droplets_dir.iterdir():
            if leftover.name not in known:
                await in_thread(remove_tree, leftover)

    async def aclose(self) -> None:
        """Stop all machines; what runs now runs again at the next start."""
        machines = list(self._machines.values())
        for machine in machines:
            machine.cut_off()
        # All at once: to look through the host's processes for each droplet takes too long with many.
        sessions = [session for machine in machines for session in machine.sessions()]
        await in_thread(processes.end_all, self._settings.droplets_dir, below=True, sessions=sessions)
        await asyncio.gather(*(machine.halt(processes_ended=True) for machine in machines))

    def machine(self, droplet: Droplet) -> Machine:
        if droplet.id not in self._machines:
            self._machines[droplet.id] = Machine(
                self._settings, droplet, taken=self._taken, save=lambda: self._store.keep(droplet)
            )
        return self._machines[droplet.id]

    def forget(self, droplet: Droplet) -> None:
        self._machines.pop(droplet.id, None)
        self._taken.discard(droplet.address or "")

    async def make_volume(self, volume: Volume, content: Path) -> None:
        await in_thread(content.mkdir, mode=0o700)

    async def remove_volume(self, content: Path) -> None:
        await in_thread(remove_tree, content)


def check_droplet_addresses(settings: Settings) -> None:
    """See that droplets will get an address.

    Raises:
        CannotStart: this system has no such addresses, or something holds the SSH port on all of them.
    """
    reason = ""
    for address, _ in zip(addresses(settings.state), range(PROBES), strict=False):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address, settings.ssh_port))
                return
            except OSError as error:
                reason = error.strerror or str(error)
                if error.errno != errno.EADDRINUSE:
                    break
    raise CannotStart(
        f"droplets can't listen on 127.77.x.y:{settings.ssh_port}: {reason}"
        " (only Linux has all of 127.0.0.0/8 on loopback by itself; --ssh-port takes another port)"
    )
