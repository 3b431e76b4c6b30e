"""The book of actions: changes that take time, each begun once and ended once."""

import time
from collections.abc import Iterable
from typing import Any

from environments.localcloud.model import Action, Droplet, Record, Volume
from environments.localcloud.store import Store


class Actions:
    """Opens and closes actions. What they do is others' business; a `fault` is how one goes wrong (faults.py)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_droplet(
        self, droplet: Droplet, kind: str, *, details: dict[str, Any] | None = None, fault: str | None = None
    ) -> Action:
        """A new action of a droplet, not yet stored; `details` is what it has to be done with."""
        return Action(
            id=self._store.next_id("action"),
            type=kind,
            started_at=time.time(),
            resource_type="droplet",
            region=droplet.region,
            droplet_id=droplet.id,
            details=details or {},
            fails=fault == "action_error",
            hangs=fault == "action_hang",
        )

    def of_volume(
        self,
        volume: Volume,
        kind: str,
        *,
        droplet_id: int | None,
        details: dict[str, Any] | None = None,
        fault: str | None = None,
    ) -> Action:
        """A new action of a volume, not yet stored."""
        return Action(
            id=self._store.next_id("action"),
            type=kind,
            started_at=time.time(),
            resource_type="volume",
            region=volume.region,
            droplet_id=droplet_id,
            volume_id=volume.id,
            details=details or {},
            fails=fault == "action_error",
            hangs=fault == "action_hang",
        )

    def is_pending(self, droplet: Droplet) -> bool:
        """Whether an action of this droplet is under way."""
        return any(action.volume_id is None for action in self._store.actions_under_way(droplet.id))

    def is_changing(self, volume: Volume) -> bool:
        """Whether an action of this volume is under way."""
        return any(action.status == "in-progress" for action in self._store.actions_of(volume_id=volume.id))

    def finish(self, action: Action, *, errored: bool = False, also: Iterable[Record] = ()) -> None:
        """End an action, unless a deletion has ended it, and save it; `also` is saved in the same stroke."""
        if action.status == "in-progress":
            action.status = "errored" if errored else "completed"
            action.completed_at = time.time()
            self._store.save(action, *also)
