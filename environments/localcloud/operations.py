"""What the actions of a droplet do, each from its start to its end.

Each can be begun anew after it was killed anywhere in the middle.
"""

from collections.abc import Awaitable, Callable

from environments.localcloud.actions import Actions
from environments.localcloud.machine import Machine
from environments.localcloud.model import ALL_PLAYED, Action, Droplet
from environments.localcloud.settings import Settings
from environments.localcloud.snapshots import Snapshots
from environments.localcloud.store import Store
from environments.localcloud.tasks import in_thread

Operation = Callable[[Machine, Droplet, Action], Awaitable[None]]


class Operations:
    """The operations by the type of the action: `by_type`. The details of an action were checked when it was asked for.

    `taken` are the addresses in use.
    """

    def __init__(self, settings: Settings, store: Store, actions: Actions, snapshots: Snapshots) -> None:
        self._settings, self._store, self._actions, self._snapshots = settings, store, actions, snapshots
        self.taken = {droplet.address for droplet in store.droplets.values() if droplet.address}
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

    def keep(self, droplet: Droplet) -> None:
        """Save a droplet, if it was not deleted meanwhile."""
        if droplet.id in self._store.droplets:
            self._store.save(droplet)

    async def switch_on(self, machine: Machine, droplet: Droplet) -> None:
        """Boot, with what volumes are attached now."""
        volumes = {v.name: self._settings.volumes_dir / v.id for v in self._store.volumes_of(droplet.id)}
        await machine.boot(volumes, taken=self.taken)
        droplet.status = "active"
        self.keep(droplet)

    async def switch_off(self, machine: Machine, droplet: Droplet, *, grace_s: float = 0.0) -> None:
        """Halt, hard if without a grace."""
        await machine.halt(grace_s=grace_s)
        droplet.status = "off"
        self.keep(droplet)

    def ended(self) -> None:
        """To be called when an action has ended: what it alone needed may go."""
        self._snapshots.tidy()

    async def _create(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        if not droplet.prepared:
            await self._copy_image(machine, droplet.image)
        await self.switch_on(machine, droplet)

    async def _copy_image(self, machine: Machine, image: int) -> bool:
        """Make a disk what an image has, which is nothing, if it is no snapshot; returns whether it is one."""
        is_snapshot = str(image) in self._store.snapshots
        if is_snapshot:
            await self._snapshots.copy_to(str(image), machine.disk.root)
        return is_snapshot

    async def _power_on(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await self.switch_on(machine, droplet)

    async def _power_off(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await self.switch_off(machine, droplet)

    async def _shut_down(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await self.switch_off(machine, droplet, grace_s=self._settings.shutdown_grace_s)

    async def _reboot(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await machine.halt(grace_s=self._settings.shutdown_grace_s)
        await self.switch_on(machine, droplet)

    async def _power_cycle(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await machine.halt()
        await self.switch_on(machine, droplet)

    async def _snapshot(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        await self._snapshots.of_droplet(droplet, action)

    async def _rebuild(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        image = int(action.details["image"])
        await machine.halt()
        if not await self._copy_image(machine, image):
            await in_thread(machine.disk.destroy)
        snapshot = self._store.snapshots.get(str(image))
        # cloud-init knows by the instance id on the disk whether it has done its work there; the id is the droplet's.
        knows_us = snapshot is not None and snapshot.booted_by == droplet.id
        droplet.image, droplet.prepared, droplet.installed = image, knows_us, False
        droplet.played = ALL_PLAYED if knows_us else 0
        self.keep(droplet)
        await self.switch_on(machine, droplet)

    async def _resize(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        droplet.size, droplet.disk = action.details["size"], action.details["disk"]
        self.keep(droplet)

    async def _rename(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        droplet.name = action.details["name"]
        self.keep(droplet)

    async def _change_features(self, machine: Machine, droplet: Droplet, action: Action) -> None:
        does, _, feature = action.type.partition("_")
        droplet.features = [name for name in droplet.features if name != feature]
        droplet.features += [feature] if does == "enable" else []
        self.keep(droplet)
