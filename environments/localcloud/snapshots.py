"""Snapshots: copies of droplets' disks, which are private images too, and of volumes."""

import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from environments.localcloud import catalog
from environments.localcloud.actions import Actions
from environments.localcloud.catalog import Image
from environments.localcloud.messages import not_found
from environments.localcloud.model import Action, Droplet, Snapshot, Volume, listed
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner, in_thread
from environments.localcloud.trees import Copy, remove_tree

SMALLEST_GB = 0.01  # of what is shown as a size


class Snapshots:
    """The snapshots of the account. `copied` makes a copy and returns its bytes."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        actions: Actions,
        tasks: TaskOwner,
        *,
        copied: Callable[[Copy], Awaitable[int]],
    ) -> None:
        self._settings, self._store, self._actions, self._tasks = settings, store, actions, tasks
        self._copied = copied
        self._readers: dict[str, int] = {}  # how many copies are being made of a content
        self._doomed: set[str] = set()  # whose content is to go once nobody needs it

    async def start(self) -> None:
        """Remove what a killed run left."""
        directory = self._settings.snapshots_dir
        directory.mkdir(mode=0o700, exist_ok=True)
        for content in directory.iterdir():
            if content.name not in self._store.snapshots:
                await in_thread(remove_tree, content)
        deleted = [snapshot for snapshot in self._store.snapshots.values() if snapshot.deleted]
        self._store.delete(*(snapshot for snapshot in deleted if not self._is_named(snapshot)))
        self._doomed.update(snapshot.id for snapshot in deleted)
        self.tidy()

    # ---- finding ----

    def get(self, snapshot_id: str) -> Snapshot:
        """The snapshot with this id, of either kind.

        Raises:
            ApiError: 404.
        """
        snapshot = self._store.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.deleted:
            raise not_found()
        return snapshot

    def all(self, resource_type: str | None = None) -> list[Snapshot]:
        """All snapshots, or those of one kind, that can be listed."""
        found = self._store.snapshots.values()
        return [s for s in listed(found) if not s.deleted and resource_type in (None, s.resource_type)]

    def find_image(self, wanted: object) -> Image | Snapshot | None:
        """What a droplet can be made from: a public image by id or slug, a snapshot by its integer id."""
        image = catalog.find_image(wanted)
        if image is not None or isinstance(wanted, bool) or not isinstance(wanted, int):
            return image
        snapshot = self._store.snapshots.get(str(wanted))
        return None if snapshot is None or snapshot.deleted or snapshot.resource_type != "droplet" else snapshot

    def image_of(self, droplet: Droplet) -> Image | Snapshot:
        """What a droplet was made from, even if that is gone by now."""
        return catalog.IMAGES.get(droplet.image) or self._store.snapshots[str(droplet.image)]

    # ---- coming and going ----

    async def of_droplet(self, droplet: Droplet, action: Action) -> None:
        """Copy a droplet's disk, without its volumes, and complete the action with that. It may be running."""
        image = self.image_of(droplet)
        snapshot = Snapshot(
            id=str(self._store.next_id("image")),
            name=action.details["name"],
            region=droplet.region,
            created_at=time.time(),
            resource_type="droplet",
            resource_id=str(droplet.id),
            min_disk_size=catalog.disk_of(droplet),
            size_gigabytes=0,
            distribution=image.distribution,
            booted_by=droplet.id if droplet.prepared else None,
        )
        await self._take(self._settings.droplets_dir / str(droplet.id), snapshot)
        snapshot.listed_at = time.time() + action.details.get("late_s", 0.0)
        self._actions.finish(action, also=[snapshot])
        self._remove_if_unknown(snapshot)  # the droplet, and its action with it, may have been ended meanwhile

    async def of_volume(self, volume: Volume, name: str, tags: list[str], *, late_s: float = 0.0) -> Snapshot:
        """Copy what is in a volume now; the copy comes into lists `late_s` later.

        Raises:
            ApiError: 404, it was deleted meanwhile.
        """
        snapshot = Snapshot(
            id=str(uuid.uuid4()),
            name=name,
            region=volume.region,
            created_at=time.time(),
            resource_type="volume",
            resource_id=volume.id,
            min_disk_size=volume.size_gigabytes,
            size_gigabytes=0,
            tags=tags,
            filesystem_type=volume.filesystem_type,
            filesystem_label=volume.filesystem_label,
        )
        await self._take(self._settings.volumes_dir / volume.id, snapshot)
        snapshot.listed_at = time.time() + late_s
        if volume.id in self._store.volumes:
            self._store.save(snapshot, *self._store.tag(snapshot.tags, "volume_snapshot", snapshot.id))
        self._remove_if_unknown(snapshot)
        return self.get(snapshot.id)

    async def _take(self, source: Path, snapshot: Snapshot) -> None:
        # What is in /run is gone at the next boot.
        leave_out = frozenset({"run"} if snapshot.resource_type == "droplet" else ())
        copy = Copy(source, self._content(snapshot.id), volumes=self._settings.volumes_dir, leave_out=leave_out)
        size = await self._copied(copy)
        snapshot.size_gigabytes = max(SMALLEST_GB, round(size / 2**30, 2))

    def _remove_if_unknown(self, snapshot: Snapshot) -> None:
        if snapshot.id not in self._store.snapshots:
            self._doomed.add(snapshot.id)
            self.tidy()

    async def copy_to(self, snapshot_id: str, target: Path) -> None:
        """Put a snapshot's content where a disk or a volume is to be, in place of what is there."""
        with self._reading(snapshot_id):
            await self._copied(Copy(self._content(snapshot_id), target, volumes=self._settings.volumes_dir))

    def delete(self, snapshot: Snapshot) -> None:
        """Remove a snapshot. Its content stays as long as a droplet or volume is being made from it."""
        if self._is_named(snapshot):
            snapshot.deleted, snapshot.tags = True, []
            self._store.save(snapshot)
        else:
            self._store.delete(snapshot)
        self._doomed.add(snapshot.id)
        self.tidy()

    def _is_named(self, snapshot: Snapshot) -> bool:
        """Whether a droplet has it as its image, or is about to."""
        if snapshot.id in self._needed():
            return True
        return any(str(droplet.image) == snapshot.id for droplet in self._store.droplets.values())

    # ---- contents ----

    def _content(self, snapshot_id: str) -> Path:
        return self._settings.snapshots_dir / snapshot_id

    @contextlib.contextmanager
    def _reading(self, snapshot_id: str) -> Iterator[None]:
        self._readers[snapshot_id] = self._readers.get(snapshot_id, 0) + 1
        try:
            yield
        finally:
            self._readers[snapshot_id] -= 1
            self.tidy()

    def _needed(self) -> set[str]:
        """The snapshots from which something is being made, or will be by an action that is under way."""
        needed = {snapshot_id for snapshot_id, readers in self._readers.items() if readers}
        for action in self._store.actions_under_way():
            droplet = self._store.droplets.get(action.droplet_id or 0)
            if action.type == "create" and droplet:
                needed.add(str(droplet.image))
            elif action.type == "rebuild":
                needed.add(str(action.details["image"]))
        return needed

    def tidy(self) -> None:
        """Remove the contents of deleted snapshots that nobody needs any more."""
        for snapshot_id in self._doomed - self._needed() if self._doomed else ():
            self._doomed.discard(snapshot_id)
            self._tasks.start(in_thread(remove_tree, self._content(snapshot_id)), name=f"remove-{snapshot_id}")
