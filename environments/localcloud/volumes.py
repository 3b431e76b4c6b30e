"""Volumes: directories that outlive the droplets they are attached to."""

import asyncio
import shutil
import time
from collections.abc import Callable

from environments.localcloud.actions import Actions
from environments.localcloud.disk import Disk
from environments.localcloud.messages import ApiError, not_found, unprocessable
from environments.localcloud.model import Action, Droplet, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner, in_thread


class Volumes:
    """The volumes of the account. `disk_of` gives a droplet's disk."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        actions: Actions,
        tasks: TaskOwner,
        *,
        disk_of: Callable[[Droplet], Disk],
    ) -> None:
        self._settings, self._store, self._actions, self._tasks = settings, store, actions, tasks
        self._disk_of = disk_of

    def start(self) -> None:
        """Go on with what a former run left unfinished."""
        self._settings.volumes_dir.mkdir(mode=0o700, exist_ok=True)
        for volume in list(self._store.volumes.values()):
            if volume.frees_at is not None:
                self._tasks.start(self.free(volume), name=f"free-{volume.id}")
        for action in list(self._store.actions.values()):
            if action.status == "in-progress" and action.volume_id is not None:
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

    def find(self, name: str, region: str) -> Volume | None:
        """The volume of this name in this region: there is one at most."""
        return next((v for v in self._store.volumes.values() if (v.name, v.region) == (name, region)), None)

    def create(self, volume: Volume) -> None:
        """Store a new volume.

        Raises:
            ApiError: 409, the name is taken in this region.
        """
        if self.find(volume.name, volume.region):
            raise ApiError(409, "a volume with that name already exists in that region")
        (self._settings.volumes_dir / volume.id).mkdir(mode=0o700)
        self._store.save(volume, *self._store.tag(volume.tags, "volume", volume.id))

    def delete(self, volume: Volume) -> None:
        """Remove a volume and what is in it.

        Raises:
            ApiError: 409, it is attached.
        """
        if volume.droplet_id is not None:
            raise ApiError(409, "failed to delete volume: volume is attached to a droplet")
        self._store.delete(volume)
        content = self._settings.volumes_dir / volume.id
        self._tasks.start(in_thread(shutil.rmtree, content, ignore_errors=True), name=f"remove-{volume.id}")

    # ---- actions ----

    def attach(self, volume: Volume, droplet: Droplet, *, fails: bool = False) -> Action:
        """Start to attach a volume.

        Raises:
            ApiError: 422, it can't be attached there.
        """
        if volume.droplet_id is not None or self._actions.is_changing(volume):
            raise unprocessable("Volume is already attached to a droplet, or has a pending event.")
        if droplet.region != volume.region:
            raise unprocessable("Volume and droplet must be in the same region.")
        return self._start(volume, droplet, "attach_volume", fails)

    def detach(self, volume: Volume, droplet_id: int, *, fails: bool = False) -> Action:
        """Start to detach a volume.

        Raises:
            ApiError: 422, it is not attached there (observed: digitalocean/godo#136).
        """
        droplet = self._store.droplets.get(droplet_id)
        if droplet is None or volume.droplet_id != droplet_id:
            raise unprocessable("Attachment not found")
        if self._actions.is_changing(volume):
            raise unprocessable("Volume already has a pending event.")
        return self._start(volume, droplet, "detach_volume", fails)

    def _start(self, volume: Volume, droplet: Droplet, kind: str, fails: bool) -> Action:
        action = self._actions.of_volume(volume, kind, droplet_id=droplet.id, fails=fails)
        self._store.save(action)
        self._begin(action)
        return action

    def _begin(self, action: Action) -> None:
        self._tasks.start(self._carry_out(action), name=f"action-{action.id}")

    async def _carry_out(self, action: Action) -> None:
        await asyncio.sleep(self._settings.action_s)
        volume = self._store.volumes.get(action.volume_id or "")
        droplet = self._store.droplets.get(action.droplet_id or 0)
        if volume is None or droplet is None or action.fails:
            return self._actions.finish(action, errored=True)
        if action.type == "attach_volume":
            volume.droplet_id = droplet.id
        else:
            await in_thread(self._disk_of(droplet).unmount, self._settings.volumes_dir / volume.id)
            volume.droplet_id = None
        self._store.save(volume)
        return self._actions.finish(action)

    async def free(self, volume: Volume) -> None:
        """Let go of a volume whose droplet was destroyed, some time after that."""
        await asyncio.sleep(max(0.0, (volume.frees_at or 0.0) - time.time()))
        if volume.id in self._store.volumes:
            volume.droplet_id = volume.frees_at = None
            self._store.save(volume)
