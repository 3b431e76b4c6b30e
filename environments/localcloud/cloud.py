"""The provider behind the API: its resources, put together. Everything runs in the event loop's thread."""

from environments.localcloud.actions import Actions
from environments.localcloud.droplets import Droplets
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import TaskOwner
from environments.localcloud.volumes import Volumes


class Cloud:
    """One account at the provider."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self._tasks = TaskOwner()
        actions = Actions(store)
        self.volumes = Volumes(
            settings, store, actions, self._tasks, disk_of=lambda droplet: self.droplets.machine(droplet).disk
        )
        self.droplets = Droplets(settings, store, actions, self._tasks, free=self.volumes.free)

    async def start(self) -> None:
        """Bring everything back to where the last run left it, however that ended."""
        self.volumes.start()
        await self.droplets.start()

    async def aclose(self) -> None:
        """Stop everything; the state stays as it is."""
        await self._tasks.aclose()
        await self.droplets.aclose()
