"""What the provider does: droplets and volumes come, change and go, each change an action that takes its time.

Everything here runs in the event loop's thread; a change is stored before its task starts, and a task can be begun
anew at any point, so that a restart picks up where the last run ended.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable

from environments.localcloud import processes
from environments.localcloud.machine import Machine
from environments.localcloud.messages import ApiError, not_found, unprocessable
from environments.localcloud.model import Action, Droplet, Tag, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner, in_thread

log = logging.getLogger(__name__)

PENDING_EVENT = "Droplet already has a pending event."  # observed: hashicorp/packer#1814


class Cloud:
    """The provider behind the API."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self._machines: dict[int, Machine] = {}
        self._tasks = TaskOwner()
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
        """Clean up what a killed run left, and bring everything back to where it was."""
        droplets_dir = self.settings.droplets_dir
        droplets_dir.mkdir(mode=0o700, exist_ok=True)
        self.settings.volumes_dir.mkdir(mode=0o700, exist_ok=True)
        await in_thread(processes.end_all, droplets_dir, below=True)
        for leftover in droplets_dir.iterdir():
            if not (leftover.name.isdigit() and int(leftover.name) in self.store.droplets):
                await in_thread(shutil.rmtree, leftover, ignore_errors=True)
        for volume in list(self.store.volumes.values()):
            if volume.frees_at is not None:
                self._tasks.start(self._free(volume), name=f"free-{volume.id}")
        pending = [action for action in self.store.actions.values() if action.status == "in-progress"]
        for action in pending:
            if action.volume_id is not None:
                self._tasks.start(self._change_volume(action), name=f"action-{action.id}")
            elif action.droplet_id in self.store.droplets:
                self._begin(self.store.droplets[action.droplet_id], action)
            else:
                self._finish(action, errored=True)
        boots = [self._resume(droplet) for droplet in self.store.droplets.values() if droplet.id not in self._working]
        await asyncio.gather(*boots)

    async def aclose(self) -> None:
        """Stop everything; the state stays as it is, and so running droplets run again at the next start."""
        await self._tasks.aclose()
        machines = list(self._machines.values())
        for machine in machines:
            machine.cut_off()
        # All at once: to look through the host's processes for each droplet takes too long with many.
        sessions = [session for machine in machines for session in machine.sessions()]
        await in_thread(processes.end_all, self.settings.droplets_dir, below=True, sessions=sessions)
        await asyncio.gather(*(machine.halt(processes_ended=True) for machine in machines))

    async def _resume(self, droplet: Droplet) -> None:
        if droplet.status != "active":
            return
        try:
            await self._switch_on(self.machine(droplet), droplet)
        except Exception:
            log.exception("droplet %s could not boot again", droplet.id)
            droplet.status = "off"
            self.store.save(droplet)

    # ---- droplets ----

    def machine(self, droplet: Droplet) -> Machine:
        """The runtime of a droplet."""
        if droplet.id not in self._machines:
            self._machines[droplet.id] = Machine(self.settings, droplet, save=lambda: self._keep(droplet))
        return self._machines[droplet.id]

    def _keep(self, droplet: Droplet) -> None:
        if droplet.id in self.store.droplets:  # not if it was deleted meanwhile
            self.store.save(droplet)

    def droplet(self, droplet_id: int) -> Droplet:
        """The droplet with this id.

        Raises:
            ApiError: 404.
        """
        droplet = self.store.droplets.get(droplet_id)
        if droplet is None:
            raise not_found()
        return droplet

    def create_droplets(
        self, droplets: Iterable[Droplet], *, volumes: Iterable[Volume], fails: bool = False
    ) -> list[Action]:
        """Store new droplets, with their volumes reserved, and start to boot them; returns their create actions."""
        started = []
        attached = list(volumes)
        for droplet in droplets:
            action = self._action("create", droplet=droplet, fails=fails)
            for volume in attached:
                volume.droplet_id, volume.frees_at = droplet.id, None
            tags = self.tags(droplet.tags, "droplet", str(droplet.id))
            self.store.save(droplet, action, *attached, *tags)
            self._begin(droplet, action)
            started.append(action)
        return started

    def power(self, droplet: Droplet, kind: str, *, fails: bool = False) -> Action:
        """Start a power action.

        Raises:
            ApiError: 422, another action of this droplet is under way, or there is no such action.
        """
        if kind not in self._power:
            raise unprocessable(f"The action {kind!r} is not known here.")
        if self.is_pending(droplet):
            raise unprocessable(PENDING_EVENT)
        action = self._action(kind, droplet=droplet, fails=fails)
        self.store.save(action)
        self._begin(droplet, action)
        return action

    def is_pending(self, droplet: Droplet) -> bool:
        """Whether an action of this droplet is under way."""
        return any(action.status == "in-progress" for action in self.store.actions_of(droplet_id=droplet.id))

    def destroy(self, droplet: Droplet) -> None:
        """The droplet is gone from the API at once; its processes, disk and volumes follow."""
        volumes = self.store.volumes_of(droplet.id)
        for volume in volumes:
            volume.frees_at = time.time() + self.settings.detach_s
        unfinished = [a for a in self.store.actions_of(droplet_id=droplet.id) if a.status == "in-progress"]
        for action in unfinished:
            action.status, action.completed_at = "errored", time.time()
        self.store.delete(droplet, save=[*volumes, *unfinished])
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

    # ---- the tasks behind droplet actions ----

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
        await asyncio.sleep(self.settings.action_s)
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
        self._finish(action, errored=errored)

    async def _switch_on(self, machine: Machine, droplet: Droplet) -> None:
        volumes = {v.name: self.settings.volumes_dir / v.id for v in self.store.volumes_of(droplet.id)}
        await machine.boot(volumes, taken=self._taken)
        droplet.status = "active"
        self._keep(droplet)

    async def _switch_off(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt()
        droplet.status = "off"
        self._keep(droplet)

    async def _shut_down(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt(grace_s=self.settings.shutdown_grace_s)
        droplet.status = "off"
        self._keep(droplet)

    async def _reboot(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt(grace_s=self.settings.shutdown_grace_s)
        await self._switch_on(machine, droplet)

    async def _power_cycle(self, machine: Machine, droplet: Droplet) -> None:
        await machine.halt()
        await self._switch_on(machine, droplet)

    def _action(
        self, kind: str, *, droplet: Droplet | None = None, volume: Volume | None = None, fails: bool = False
    ) -> Action:
        target = volume or droplet
        if target is None:
            raise ValueError("an action is of a droplet or of a volume")
        return Action(
            id=self.store.next_id("action"),
            type=kind,
            started_at=time.time(),
            resource_type="volume" if volume else "droplet",
            region=target.region,
            droplet_id=droplet.id if droplet else None,
            volume_id=volume.id if volume else None,
            fails=fails,
        )

    def _finish(self, action: Action, *, errored: bool = False) -> None:
        if action.status == "in-progress":  # a deletion may have ended it
            action.status = "errored" if errored else "completed"
            action.completed_at = time.time()
            self.store.save(action)

    # ---- volumes ----

    def volume(self, volume_id: str) -> Volume:
        """The volume with this id.

        Raises:
            ApiError: 404.
        """
        volume = self.store.volumes.get(volume_id)
        if volume is None:
            raise not_found()
        return volume

    def find_volume(self, name: str, region: str) -> Volume | None:
        """The volume of this name in this region: there is one at most."""
        return next((v for v in self.store.volumes.values() if (v.name, v.region) == (name, region)), None)

    def create_volume(self, volume: Volume) -> None:
        """Store a new volume.

        Raises:
            ApiError: 409, the name is taken in this region.
        """
        if self.find_volume(volume.name, volume.region):
            raise ApiError(409, "a volume with that name already exists in that region")
        (self.settings.volumes_dir / volume.id).mkdir(mode=0o700)
        self.store.save(volume, *self.tags(volume.tags, "volume", volume.id))

    def delete_volume(self, volume: Volume) -> None:
        """Remove a volume and what is in it.

        Raises:
            ApiError: 409, it is attached.
        """
        if volume.droplet_id is not None:
            raise ApiError(409, "failed to delete volume: volume is attached to a droplet")
        self.store.delete(volume)
        content = self.settings.volumes_dir / volume.id
        self._tasks.start(in_thread(shutil.rmtree, content, ignore_errors=True), name=f"remove-{volume.id}")

    def attach(self, volume: Volume, droplet_id: int, *, fails: bool = False) -> Action:
        """Start to attach a volume.

        Raises:
            ApiError: 422, it can't be attached there; 404, no such droplet.
        """
        droplet = self.droplet(droplet_id)
        if volume.droplet_id is not None or self._is_changing(volume):
            raise unprocessable("Volume is already attached to a droplet, or has a pending event.")
        if droplet.region != volume.region:
            raise unprocessable("Volume and droplet must be in the same region.")
        return self._start_volume_action(volume, droplet, "attach_volume", fails)

    def detach(self, volume: Volume, droplet_id: int, *, fails: bool = False) -> Action:
        """Start to detach a volume.

        Raises:
            ApiError: 422, it is not attached there (observed: digitalocean/godo#136).
        """
        droplet = self.store.droplets.get(droplet_id)
        if droplet is None or volume.droplet_id != droplet_id:
            raise unprocessable("Attachment not found")
        if self._is_changing(volume):
            raise unprocessable("Volume already has a pending event.")
        return self._start_volume_action(volume, droplet, "detach_volume", fails)

    def _is_changing(self, volume: Volume) -> bool:
        return any(action.status == "in-progress" for action in self.store.actions_of(volume_id=volume.id))

    def _start_volume_action(self, volume: Volume, droplet: Droplet, kind: str, fails: bool) -> Action:
        action = self._action(kind, volume=volume, fails=fails)
        action.droplet_id = droplet.id
        self.store.save(action)
        self._tasks.start(self._change_volume(action), name=f"action-{action.id}")
        return action

    async def _change_volume(self, action: Action) -> None:
        await asyncio.sleep(self.settings.action_s)
        volume = self.store.volumes.get(action.volume_id or "")
        droplet = self.store.droplets.get(action.droplet_id or 0)
        if volume is None or droplet is None or action.fails:
            return self._finish(action, errored=True)
        if action.type == "attach_volume":
            volume.droplet_id = droplet.id
        else:
            content = self.settings.volumes_dir / volume.id
            await in_thread(self.machine(droplet).disk.unmount, content)
            volume.droplet_id = None
        self.store.save(volume)
        return self._finish(action)

    async def _free(self, volume: Volume) -> None:
        """Let go of a volume whose droplet was destroyed, some time after that."""
        await asyncio.sleep(max(0.0, (volume.frees_at or 0.0) - time.time()))
        if volume.id in self.store.volumes:
            volume.droplet_id = volume.frees_at = None
            self.store.save(volume)

    # ---- tags ----

    def tags(self, names: list[str], resource_type: str, resource_id: str) -> list[Tag]:
        """The tags of these names, made where missing, with this resource noted as the last tagged; to be saved.

        The names are changed in place to the case in which the tags exist.
        """
        found = []
        for number, name in enumerate(names):
            tag = self.store.find_tag(name) or Tag(id=name)
            names[number] = tag.id
            tag.last[resource_type] = resource_id
            tag.last["any"] = f"{resource_type}:{resource_id}"
            found.append(tag)
        return found
