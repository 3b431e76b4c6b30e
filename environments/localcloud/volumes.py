"""Volumes: directories that outlive the droplets they are attached to."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from environments.localcloud.actions import Actions
from environments.localcloud.fleet import Fleet, MachineError
from environments.localcloud.messages import ApiError, not_found, unprocessable
from environments.localcloud.model import Action, Droplet, Snapshot, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.snapshots import Snapshots
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner

log = logging.getLogger(__name__)

MOST_VOLUMES = 15  # of one droplet (specification, tag Block Storage)


class Volumes:
    """The volumes of the account."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        actions: Actions,
        tasks: TaskOwner,
        snapshots: Snapshots,
        fleet: Fleet,
    ) -> None:
        self._settings, self._store, self._actions, self._tasks = settings, store, actions, tasks
        self._snapshots, self._fleet = snapshots, fleet
        self._coming: set[tuple[str, str]] = set()  # names and regions of those being made from a snapshot

    async def start(self) -> None:
        """Clean up what a killed run left, and go on with what it was at."""
        directory = self._settings.volumes_dir
        directory.mkdir(mode=0o700, exist_ok=True)
        for content in directory.iterdir():
            if content.name not in self._store.volumes:
                self._remove(content)
        for volume in list(self._store.volumes.values()):
            if volume.frees_at is not None:
                self._tasks.start(self.free(volume), name=f"free-{volume.id}")
        for action in self._store.actions_under_way():
            if action.volume_id is not None:
                self._begin(action)

    def get(self, volume_id: str) -> Volume:
        """The volume with this id.

        Raises:
            ApiError: 404.
        """
        volume = self._store.volumes.get(volume_id)
        if volume is None:
            raise not_found()
        return volume

    async def create(self, volume: Volume, *, snapshot: Snapshot | None = None) -> None:
        """Store a new volume, empty or with what is in a snapshot.

        Raises:
            ApiError: 409, the name is taken in this region.
        """
        place = (volume.name, volume.region)
        if self._store.find_volume(*place) or place in self._coming:
            raise ApiError(409, "a volume with that name already exists in that region")
        content = self._settings.volumes_dir / volume.id
        self._coming.add(place)
        try:
            if snapshot:
                await self._snapshots.copy_to(snapshot.id, content)
            else:
                await self._fleet.make_volume(volume, content)
            self._store.save(volume, *self._store.tag(volume.tags, "volume", volume.id))
        finally:
            self._coming.discard(place)

    def delete(self, volume: Volume) -> None:
        """Remove a volume and what is in it.

        Raises:
            ApiError: 409, it is attached.
        """
        if volume.droplet_id is not None:
            raise ApiError(409, "failed to delete volume: volume is attached to a droplet")
        self._store.delete(volume)
        self._remove(self._settings.volumes_dir / volume.id)

    def _remove(self, content: Path) -> None:
        self._tasks.start(self._fleet.remove_volume(content), name=f"remove-{content.name}")

    # ---- actions ----

    def attach(self, volume: Volume, droplet: Droplet, *, fault: str | None = None) -> Action:
        """Start to attach a volume.

        Raises:
            ApiError: 422, it can't be attached there.
        """
        if volume.droplet_id is not None or self.is_changing(volume):
            raise unprocessable("Volume is already attached to a droplet, or has a pending event.")
        if droplet.region != volume.region:
            raise unprocessable("Volume and droplet must be in the same region.")
        if len(self._store.volumes_of(droplet.id)) >= MOST_VOLUMES:
            raise unprocessable(f"At most {MOST_VOLUMES} volumes can be attached to a droplet.")
        return self._start(volume, "attach_volume", droplet_id=droplet.id, fault=fault)

    def detach(self, volume: Volume, droplet_id: int, *, fault: str | None = None) -> Action:
        """Start to detach a volume.

        Raises:
            ApiError: 422, it is not attached there (observed: digitalocean/godo#136).
        """
        droplet = self._store.droplets.get(droplet_id)
        if droplet is None or volume.droplet_id != droplet_id:
            raise unprocessable("Attachment not found")
        self._check_unchanging(volume)
        return self._start(volume, "detach_volume", droplet_id=droplet.id, fault=fault)

    def resize(self, volume: Volume, size_gigabytes: int, *, fault: str | None = None) -> Action:
        """Start to resize a volume; what it is attached to makes no difference.

        Raises:
            ApiError: 422, it would not grow, or is changing already.
        """
        if size_gigabytes <= volume.size_gigabytes:
            raise unprocessable("Volumes can only be resized upwards.")
        self._check_unchanging(volume)
        details = {"size_gigabytes": size_gigabytes}
        return self._start(volume, "resize_volume", droplet_id=volume.droplet_id, fault=fault, details=details)

    def is_changing(self, volume: Volume) -> bool:
        """Whether an action of this volume is under way."""
        return self._actions.is_changing(volume)

    def _check_unchanging(self, volume: Volume) -> None:
        if self.is_changing(volume):
            raise unprocessable("Volume already has a pending event.")

    def _start(self, volume: Volume, kind: str, **how: Any) -> Action:
        action = self._actions.of_volume(volume, kind, **how)
        self._store.save(action)
        self._begin(action)
        return action

    def _begin(self, action: Action) -> None:
        self._tasks.start(self._carry_out(action), name=f"action-{action.id}")

    async def _carry_out(self, action: Action) -> None:
        if action.hangs:
            return None
        await asyncio.sleep(self._settings.action_s)
        volume = self._store.volumes.get(action.volume_id or "")
        droplet = self._store.droplets.get(action.droplet_id or 0)
        if volume is None or action.fails or (droplet is None and action.type != "resize_volume"):
            return self._actions.finish(action, errored=True)
        try:
            await self._change(volume, droplet, action)
        except MachineError as error:
            log.error("volume %s: %s failed: %s", volume.id, action.type, error)
            return self._actions.finish(action, errored=True)
        return self._actions.finish(action, also=[volume])

    async def _change(self, volume: Volume, droplet: Droplet | None, action: Action) -> None:
        if droplet is None or action.type == "resize_volume":
            volume.size_gigabytes = action.details["size_gigabytes"]
        elif action.type == "attach_volume":
            await self._fleet.machine(droplet).attach(volume)
            volume.droplet_id = action.droplet_id
        else:
            await self._fleet.machine(droplet).detach(volume)
            volume.droplet_id = None

    async def free(self, volume: Volume) -> None:
        """Let go of a volume whose droplet was destroyed, some time after that."""
        await asyncio.sleep(max(0.0, (volume.frees_at or 0.0) - time.time()))
        if volume.id in self._store.volumes:
            volume.droplet_id = volume.frees_at = None
            self._store.save(volume)
