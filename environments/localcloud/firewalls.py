"""Firewalls: rules that are kept and shown. No packet is filtered here: all droplets are one loopback interface."""

import time
from collections.abc import Iterable
from typing import Any

from environments.localcloud.messages import ApiError, not_found
from environments.localcloud.model import Firewall
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store


class Firewalls:
    """The firewalls of the account."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store

    def get(self, firewall_id: str) -> Firewall:
        """The firewall with this id.

        Raises:
            ApiError: 404.
        """
        firewall = self._store.firewalls.get(firewall_id)
        if firewall is None:
            raise not_found()
        return firewall

    def of_droplet(self, droplet_id: int) -> list[Firewall]:
        """The firewalls that a droplet is in, by itself or by a tag."""
        return [firewall for firewall in self._store.firewalls.values() if droplet_id in self._members(firewall)]

    def _members(self, firewall: Firewall) -> set[int]:
        tagged = (droplet.id for tag in firewall.tags for droplet in self._store.droplets_tagged(tag))
        return {*firewall.droplet_ids, *tagged}

    def check_name(self, name: str, *, but: Firewall | None = None) -> None:
        """Raises ApiError, 409, where another firewall has this name (observed: harmony-one/harmony-ops#390)."""
        if any(firewall.name == name and firewall is not but for firewall in self._store.firewalls.values()):
            raise ApiError(409, "duplicate name")

    def put(self, firewall: Firewall) -> None:
        """Store a new firewall, or one in place of what it was; its droplets learn of it after a while."""
        before = self._store.firewalls.get(firewall.id)
        left = self._members(before) - self._members(firewall) if before else set()
        self._note_changes(firewall, self._members(firewall), left)
        self._store.save(firewall)

    def change_members(
        self, firewall: Firewall, *, droplet_ids: Iterable[int] | None = None, tags: Iterable[str] | None = None
    ) -> None:
        """Set which droplets, or tags, a firewall is for."""
        before = self._members(firewall)
        if droplet_ids is not None:
            firewall.droplet_ids = list(dict.fromkeys(droplet_ids))
        if tags is not None:
            firewall.tags = list(dict.fromkeys(tags))
        after = self._members(firewall)
        self._note_changes(firewall, after - before, before - after)
        self._store.save(firewall)

    def _note_changes(self, firewall: Firewall, changed: set[int], left: set[int]) -> None:
        if time.time() >= firewall.in_force_at:
            firewall.changes = {}
        firewall.changes.update({str(droplet_id): False for droplet_id in sorted(changed)})
        firewall.changes.update({str(droplet_id): True for droplet_id in sorted(left)})
        firewall.in_force_at = time.time() + self._settings.action_s

    def delete(self, firewall: Firewall) -> None:
        """Remove a firewall."""
        self._store.delete(firewall)

    # ---- what others delete ----

    def without_droplet(self, droplet_id: int) -> list[Firewall]:
        """The firewalls that named a droplet, which they no longer do; to be saved."""
        changed = []
        for firewall in self._store.firewalls.values():
            if _drop(droplet_id, firewall.droplet_ids, "droplet_ids", firewall):
                firewall.changes.pop(str(droplet_id), None)
                changed.append(firewall)
        return changed

    def without_tag(self, tag: str) -> list[Firewall]:
        """The firewalls that named a tag, which they no longer do; to be saved."""
        return [fw for fw in self._store.firewalls.values() if _drop(tag, fw.tags, "tags", fw)]


def _drop(value: int | str, members: list[Any], target: str, firewall: Firewall) -> bool:
    """Take a droplet or tag out of a firewall and of its rules; returns whether it was there."""
    named = [members]
    ends = [rule["sources"] for rule in firewall.inbound_rules]
    ends += [rule["destinations"] for rule in firewall.outbound_rules]
    named += [end[target] for end in ends if target in end]
    found = [values for values in named if value in values]
    for values in found:
        values.remove(value)
    for end in ends:
        if not end.get(target, True):
            del end[target]
    return bool(found)
