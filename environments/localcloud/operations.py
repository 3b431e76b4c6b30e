"""What the actions of a droplet do, each from its start to its end.

Each can be begun anew after it was killed anywhere in the middle.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from environments.localcloud.actions import Actions
from environments.localcloud.fleet import Runtime
from environments.localcloud.model import ALL_PLAYED, Action, Droplet
from environments.localcloud.settings import Settings
from environments.localcloud.snapshots import Snapshots
from environments.localcloud.store import Store
from environments.localcloud.tasks import in_thread
from environments.localcloud.trees import remove_tree

Operation = Callable[[Runtime, Droplet, Action], Awaitable[None]]


class Operations:
    """The operations by the type of the action: `by_type`. An action's details were checked when it was asked for."""

    def __init__(self, settings: Settings, store: Store, actions: Actions, snapshots: Snapshots) -> None:
        self._settings, self._store, self._actions, self._snapshots = settings, store, actions, snapshots
        self.by_type: dict[str, Operation] = {
            "create": self._create,
            "power_on": self._power_on,
            "power_off": self._power_off,
            "shutdown": self._shut_down,
            "reboot": self._reboot,
            "power_cycle": self._power_cycle,
            "snapshot": self._snapshot,
            "rebuild": self._rebuild,
            "resize": self._resize,
            "rename": self._rename,
            "enable_ipv6": self._change_features,
            "enable_backups": self._change_features,
            "disable_backups": self._change_features,
        }

    async def switch_on(self, machine: Runtime, droplet: Droplet) -> None:
        """Boot, with what volumes are attached now."""
        await machine.boot(self._store.volumes_of(droplet.id))
        droplet.status = "active"
        self._store.keep(droplet)

    async def switch_off(self, machine: Runtime, droplet: Droplet, *, grace_s: float = 0.0) -> None:
        """Halt, hard if without a grace."""
        await machine.halt(grace_s=grace_s)
        droplet.status = "off"
        self._store.keep(droplet)

    def ended(self) -> None:
        """To be called when an action has ended: what it alone needed may go."""
        self._snapshots.tidy()

    async def _create(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        if not droplet.prepared:
            await self._copy_image(droplet, droplet.image)
        await self.switch_on(machine, droplet)

    async def _copy_image(self, droplet: Droplet, image: int) -> bool:
        """Make a disk what an image has, which is nothing, if it is no snapshot; returns whether it is one."""
        is_snapshot = str(image) in self._store.snapshots
        if is_snapshot:
            await self._snapshots.copy_to(str(image), self._disk_of(droplet))
        return is_snapshot

    def _disk_of(self, droplet: Droplet) -> Path:
        return self._settings.droplets_dir / str(droplet.id)

    async def _power_on(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await self.switch_on(machine, droplet)

    async def _power_off(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await self.switch_off(machine, droplet)

    async def _shut_down(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await self.switch_off(machine, droplet, grace_s=self._settings.shutdown_grace_s)

    async def _reboot(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await machine.reboot(self._store.volumes_of(droplet.id), grace_s=self._settings.shutdown_grace_s)
        droplet.status = "active"
        self._store.keep(droplet)

    async def _power_cycle(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await machine.reboot(self._store.volumes_of(droplet.id))
        droplet.status = "active"
        self._store.keep(droplet)

    async def _snapshot(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        await self._snapshots.of_droplet(droplet, action)

    async def _rebuild(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        image = int(action.details["image"])
        await machine.prepare_rebuild()
        if not await self._copy_image(droplet, image):
            await in_thread(remove_tree, self._disk_of(droplet))
        snapshot = self._store.snapshots.get(str(image))
        # cloud-init knows by the instance id on the disk whether it has done its work there; the id is the droplet's.
        knows_us = snapshot is not None and snapshot.booted_by == droplet.id
        droplet.image, droplet.prepared, droplet.installed = image, knows_us, False
        droplet.played = ALL_PLAYED if knows_us else 0
        self._store.keep(droplet)
        await self.switch_on(machine, droplet)

    async def _resize(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        droplet.size, droplet.disk = action.details["size"], action.details["disk"]
        self._store.keep(droplet)

    async def _rename(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        droplet.name = action.details["name"]
        self._store.keep(droplet)

    async def _change_features(self, machine: Runtime, droplet: Droplet, action: Action) -> None:
        does, _, feature = action.type.partition("_")
        droplet.features = [name for name in droplet.features if name != feature]
        droplet.features += [feature] if does == "enable" else []
        self._store.keep(droplet)
