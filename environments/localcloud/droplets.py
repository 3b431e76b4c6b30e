"""Droplets: how they come, change and go, each change an action that takes its time.

A change is stored before its task starts, and a task can be begun anew at any point, so that a restart picks up where
the last run ended.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from environments.localcloud.actions import Actions
from environments.localcloud.firewalls import Firewalls
from environments.localcloud.fleet import Fleet, MachineError, Runtime
from environments.localcloud.messages import ApiError, not_found, unprocessable
from environments.localcloud.model import Action, Droplet, Volume
from environments.localcloud.operations import Operations
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner

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
        operations: Operations,
        firewalls: Firewalls,
        fleet: Fleet,
        *,
        free: Callable[[Volume], Awaitable[None]],
    ) -> None:
        self._settings, self._store, self._actions, self._tasks = settings, store, actions, tasks
        self._operations, self._firewalls, self._fleet, self._free = operations, firewalls, fleet, free
        # One task at a time works on a droplet; deleting waits for it.
        self._working: dict[int, asyncio.Task[None]] = {}

    # ---- start and end ----

    async def start(self) -> None:
        """Go on with what a killed run was at, and take every droplet up again."""
        for action in self._store.actions_under_way():
            if action.volume_id is None:
                if action.droplet_id in self._store.droplets:
                    self._begin(self._store.droplets[action.droplet_id], action)
                else:
                    self._actions.finish(action, errored=True)
        idle = [droplet for droplet in self._store.droplets.values() if droplet.id not in self._working]
        await asyncio.gather(*(self._resume(droplet) for droplet in idle))

    async def _resume(self, droplet: Droplet) -> None:
        if droplet.status == "new":
            return
        volumes = self._store.volumes_of(droplet.id)
        try:
            is_on = await self.machine(droplet).resume(volumes, was_on=droplet.status == "active")
        except Exception:
            log.exception("droplet %s could not be taken up again", droplet.id)
            is_on = False
        droplet.status = "active" if is_on else "off"
        self._store.save(droplet)

    # ---- what the API asks for ----

    def machine(self, droplet: Droplet) -> Runtime:
        """The runtime of a droplet."""
        return self._fleet.machine(droplet)

    def get(self, droplet_id: int) -> Droplet:
        """The droplet with this id.

        Raises:
            ApiError: 404.
        """
        droplet = self._store.droplets.get(droplet_id)
        if droplet is None:
            raise not_found()
        return droplet

    def create(
        self, droplets: Iterable[Droplet], *, volumes: Iterable[Volume], fault: str | None = None
    ) -> list[Action]:
        """Store new droplets, with their volumes reserved, and start to boot them; returns their create actions."""
        started = []
        attached = list(volumes)
        for droplet in droplets:
            action = self._actions.of_droplet(droplet, "create", fault=fault)
            for volume in attached:
                volume.droplet_id, volume.frees_at = droplet.id, None
            tags = self._store.tag(droplet.tags, "droplet", str(droplet.id))
            self._store.save(droplet, action, *attached, *tags)
            self._begin(droplet, action)
            started.append(action)
        return started

    def check_idle(self, droplet: Droplet) -> None:
        """Raises ApiError, 422, while an action of this droplet is under way."""
        if self._actions.is_pending(droplet):
            raise unprocessable(PENDING_EVENT)

    def act(self, droplet: Droplet, kind: str, details: dict[str, Any], *, fault: str | None = None) -> Action:
        """Start an action, with its details as operations.py takes them.

        Raises:
            ApiError: 422, another action of this droplet is under way.
        """
        self.check_idle(droplet)
        action = self._actions.of_droplet(droplet, kind, details=details, fault=fault)
        self._store.save(action)
        self._begin(droplet, action)
        return action

    def destroy(self, droplet: Droplet) -> None:
        """The droplet is gone from the API at once; its processes, disk and volumes follow."""
        volumes = self._store.volumes_of(droplet.id)
        for volume in volumes:
            volume.frees_at = time.time() + self._settings.detach_s
        # Those of its volumes end by themselves, unless they hang.
        unfinished = [a for a in self._store.actions_under_way(droplet.id) if a.volume_id is None or a.hangs]
        for action in unfinished:
            action.status, action.completed_at = "errored", time.time()
        firewalls = self._firewalls.without_droplet(droplet.id)
        self._store.delete(droplet, save=[*volumes, *unfinished, *firewalls])
        self._operations.ended()
        self._tasks.start(self._take_down(droplet, volumes), name=f"destroy-{droplet.id}")

    async def _take_down(self, droplet: Droplet, volumes: list[Volume]) -> None:
        working = self._working.pop(droplet.id, None)
        if working:
            working.cancel()
            await asyncio.wait([working])
        await self.machine(droplet).destroy()
        self._fleet.forget(droplet)
        for volume in volumes:
            await self._free(volume)

    async def cut_power(self, droplet: Droplet) -> None:
        """Somebody else switches it off, without an action; actions that hang end with that."""
        for action in self._store.actions_under_way(droplet.id):
            if action.hangs:
                self._actions.finish(action, errored=True)
        await self._operations.switch_off(self.machine(droplet), droplet)

    # ---- the tasks behind actions ----

    def _begin(self, droplet: Droplet, action: Action) -> None:
        task = self._tasks.start(self._carry_out(droplet, action), name=f"action-{action.id}")
        self._working[droplet.id] = task
        task.add_done_callback(lambda done: self._worked(droplet.id, done))

    def _worked(self, droplet_id: int, task: asyncio.Task[None]) -> None:
        if self._working.get(droplet_id) is task:
            del self._working[droplet_id]

    async def _carry_out(self, droplet: Droplet, action: Action) -> None:
        if action.hangs:
            return
        if action.type != "create":
            await asyncio.sleep(self._settings.action_s)
        elif droplet.stuck:
            return  # a fault: it stays `new`, and its action in progress
        else:
            await asyncio.sleep(max(0.0, droplet.ready_at - time.time()))
        errored = action.fails
        if not errored:
            machine = self.machine(droplet)
            try:
                await self._operations.by_type[action.type](machine, droplet, action)
            except Exception as error:
                # Those that say all there is to say need no traceback.
                trace = None if isinstance(error, MachineError | ApiError) else error
                log.error("droplet %s: %s failed: %s", droplet.id, action.type, error, exc_info=trace)
                errored = True
                if droplet.status == "active" and not machine.is_on:
                    droplet.status = "off"
                    self._store.keep(droplet)
        self._actions.finish(action, errored=errored)
        self._operations.ended()
