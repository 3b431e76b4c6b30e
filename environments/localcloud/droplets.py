"""Droplets: how they come, change and go, each change an action that takes its time.

A change is stored before its task starts, and a task can be begun anew at any point, so that a restart picks up where
the last run ended.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable

from environments.localcloud import processes
from environments.localcloud.actions import Actions
from environments.localcloud.machine import Machine
from environments.localcloud.messages import not_found, unprocessable
from environments.localcloud.model import Action, Droplet, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner, in_thread

log = logging.getLogger(__name__)

PENDING_EVENT = "Droplet already has a pending event."  # observed: hashicorp/packer#1814


class Droplets:
    """The droplets of the account. `free` lets go of a volume, in its own time, once its droplet is gone."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        actions: Actions,
        tasks: TaskOwner,
        *,
        free: Callable[[Volume], Awaitable[None]],
    ) -> None:
        self._settings, self._store, self._actions, self._tasks = settings, store, actions, tasks
        self._free = free
        self._machines: dict[int, Machine] = {}
        self._taken = {droplet.address for droplet in store.droplets.values() if droplet.address}
        # One task at a time works on a droplet; deleting waits for it.
        self._working: dict[int, asyncio.Task[None]] = {}
        self._power: dict[str, Callable[[Machine, Droplet], Awaitable[None]]] = {
            "power_on": self._switch_on,
            "power_off": self._switch_off,
            "shutdown": self._shut_down,
            "reboot": self._reboot,
            "power_cycle": self._power_cycle,
        }

    # ---- start and end ----

    async def start(self) -> None:
        """Clean up what a killed run left, and bring every droplet back to where it was."""
        droplets_dir = self._settings.droplets_dir
        droplets_dir.mkdir(mode=0o700, exist_ok=True)
        await in_thread(processes.end_all, droplets_dir, below=True)
        for leftover in droplets_dir.iterdir():
            if not (leftover.name.isdigit() and int(leftover.name) in self._store.droplets):
                await in_thread(shutil.rmtree, leftover, ignore_errors=True)
        for action in list(self._store.actions.values()):
            if action.status == "in-progress" and action.volume_id is None:
                if action.droplet_id in self._store.droplets:
                    self._begin(self._store.droplets[action.droplet_id], action)
                else:
                    self._actions.finish(action, errored=True)
        idle = [droplet for droplet in self._store.droplets.values() if droplet.id not in self._working]
        await asyncio.gather(*(self._resume(droplet) for droplet in idle))

    async def aclose(self) -> None:
        """Stop all machines; the records stay as they are, and so what runs now runs again at the next start."""
        machines = list(self._machines.values())
        for machine in machines:
            machine.cut_off()
        # All at once: to look through the host's processes for each droplet takes too long with many.
        sessions = [session for machine in machines for session in machine.sessions()]
        await in_thread(processes.end_all, self._settings.droplets_dir, below=True, sessions=sessions)
        await asyncio.gather(*(machine.halt(processes_ended=True) for machine in machines))

    async def _resume(self, droplet: Droplet) -> None:
        if droplet.status != "active":
            return
        try:
            await self._switch_on(self.machine(droplet), droplet)
        except Exception:
            log.exception("droplet %s could not boot again", droplet.id)
            droplet.status = "off"
            self._store.save(droplet)

    # ---- what the API asks for ----

    def machine(self, droplet: Droplet) -> Machine:
        """The runtime of a droplet."""
        if droplet.id not in self._machines:
            self._machines[droplet.id] = Machine(self._settings, droplet, save=lambda: self._keep(droplet))
        return self._machines[droplet.id]

    def _keep(self, droplet: Droplet) -> None:
        if droplet.id in self._store.droplets:  # not if it was deleted meanwhile
            self._store.save(droplet)

    def get(self, droplet_id: int) -> Droplet:
        """The droplet with this id.

        Raises:
            ApiError: 404.
        """
        droplet = self._store.droplets.get(droplet_id)
        if droplet is None:
            raise not_found()
        return droplet

    def create(self, droplets: Iterable[Droplet], *, volumes: Iterable[Volume], fails: bool = False) -> list[Action]:
        """Store new droplets, with their volumes reserved, and start to boot them; returns their create actions."""
        started = []
        attached = list(volumes)
        for droplet in droplets:
            action = self._actions.of_droplet(droplet, "create", fails=fails)
            for volume in attached:
                volume.droplet_id, volume.frees_at = droplet.id, None
            tags = self._store.tag(droplet.tags, "droplet", str(droplet.id))
            self._store.save(droplet, action, *attached, *tags)
            self._begin(droplet, action)
            started.append(action)
        return started

    def act(self, droplet: Droplet, kind: str, *, fails: bool = False) -> Action:
        """Start an action.

        Raises:
            ApiError: 422, another action of this droplet is under way, or there is no such action.
        """
        if kind not in self._power:
            raise unprocessable(f"The action {kind!r} is not known here.")
        if self._actions.is_pending(droplet):
            raise unprocessable(PENDING_EVENT)
        action = self._actions.of_droplet(droplet, kind, fails=fails)
        self._store.save(action)
        self._begin(droplet, action)
        return action

    def destroy(self, droplet: Droplet) -> None:
        """The droplet is gone from the API at once; its processes, disk and volumes follow."""
        volumes = self._store.volumes_of(droplet.id)
        for volume in volumes:
            volume.frees_at = time.time() + self._settings.detach_s
        unfinished = [a for a in self._store.actions_of(droplet_id=droplet.id) if a.status == "in-progress"]
        for action in unfinished:
            action.status, action.completed_at = "errored", time.time()
        self._store.delete(droplet, save=[*volumes, *unfinished])
        self._tasks.start(self._take_down(droplet, volumes), name=f"destroy-{droplet.id}")

    async def _take_down(self, droplet: Droplet, volumes: list[Volume]) -> None:
        working = self._working.pop(droplet.id, None)
        if working:
            working.cancel()
            await asyncio.wait([working])
        machine = self.machine(droplet)
        await machine.destroy()
        del self._machines[droplet.id]
        self._taken.discard(droplet.address or "")
        for volume in volumes:
            await self._free(volume)

    async def cut_power(self, droplet: Droplet) -> None:
        """Somebody else switches it off, without an action."""
        await self._switch_off(self.machine(droplet), droplet)

    # ---- the tasks behind actions ----

    def _begin(self, droplet: Droplet, action: Action) -> None:
        work = self._create(droplet, action) if action.type == "create" else self._act(droplet, action)
        task = self._tasks.start(work, name=f"action-{action.id}")
        self._working[droplet.id] = task
        task.add_done_callback(lambda done: self._worked(droplet.id, done))

    def _worked(self, droplet_id: int, task: asyncio.Task[None]) -> None:
        if self._working.get(droplet_id) is task:
            del self._working[droplet_id]

    async def _create(self, droplet: Droplet, action: Action) -> None:
        if droplet.stuck:
            return  # a fault: it stays `new`, and its action in progress
        await asyncio.sleep(max(0.0, droplet.ready_at - time.time()))
        await self._carry_out(self._switch_on, droplet, action)

    async def _act(self, droplet: Droplet, action: Action) -> None:
        await asyncio.sleep(self._settings.action_s)
        await self._carry_out(self._power[action.type], droplet, action)

    async def _carry_out(
        self, work: Callable[[Machine, Droplet], Awaitable[None]], droplet: Droplet, action: Action
    ) -> None:
        errored = action.fails
        if not errored:
            try:
                await work(self.machine(droplet), droplet)
            except Exception:
                log.exception("droplet %s: %s failed", droplet.id, action.type)
                errored = True
        self._actions.finish(action, errored=errored)

    async def _switch_on(self, machine: Machine, droplet: Droplet) -> None:
        volumes = {v.name: self._settings.volumes_dir / v.id for v in self._store.volumes_of(droplet.id)}
        await machine.boot(volumes, taken=self._taken)
        droplet.status = "active"
        self._keep(droplet)

    async def _switch_off(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt()
        droplet.status = "off"
        self._keep(droplet)

    async def _shut_down(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt(grace_s=self._settings.shutdown_grace_s)
        droplet.status = "off"
        self._keep(droplet)

    async def _reboot(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt(grace_s=self._settings.shutdown_grace_s)
        await self._switch_on(machine, droplet)

    async def _power_cycle(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt()
        await self._switch_on(machine, droplet)
