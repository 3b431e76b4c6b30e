"""The provider behind the API: its resources, put together. Everything runs in the event loop's thread."""

from environments.localcloud.actions import Actions
from environments.localcloud.droplets import Droplets
from environments.localcloud.external import ExternalFleet
from environments.localcloud.firewalls import Firewalls
from environments.localcloud.hostmetrics import HostMetrics
from environments.localcloud.operations import Operations
from environments.localcloud.settings import Settings
from environments.localcloud.simulated import SimulatedFleet
from environments.localcloud.snapshots import Snapshots
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner
from environments.localcloud.volumes import Volumes


def kind_of_fleet(settings: Settings) -> type[SimulatedFleet] | type[ExternalFleet]:
    """What the droplets are to run on."""
    return SimulatedFleet if settings.droplet_command is None else ExternalFleet


class Cloud:
    """One account at the provider."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self._tasks = TaskOwner()
        actions = Actions(store)
        self.metrics = HostMetrics(settings.state)
        self.firewalls = Firewalls(settings, store)
        self._fleet = kind_of_fleet(settings)(settings, store)
        self.snapshots = Snapshots(settings, store, actions, self._tasks, copied=self._fleet.copy)
        self.volumes = Volumes(settings, store, actions, self._tasks, self.snapshots, self._fleet)
        operations = Operations(settings, store, actions, self.snapshots)
        self.droplets = Droplets(
            settings, store, actions, self._tasks, operations, self.firewalls, self._fleet, free=self.volumes.free
        )

    async def start(self) -> None:
        """Bring everything back to where the last run left it, however that ended."""
        await self._fleet.start()
        await self.snapshots.start()
        await self.volumes.start()
        await self.droplets.start()
        self._tasks.start(self.metrics.run(), name="metrics")

    async def aclose(self) -> None:
        """Stop everything; the state stays as it is."""
        await self._tasks.aclose()
        await self._fleet.aclose()
