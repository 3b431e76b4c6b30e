"""The listing of all our droplets that answers for every environment that waits, in every process.

One process lists and leaves the answer in the cache for the others. A longer list is asked for less often, so that
it always costs the same share of the calls that the cloud allows.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.cache import caches
from django.utils import timezone

from environments import cloudapi, leases
from environments.budget import Priority
from environments.cloud import CloudError, Droplet
from environments.cloud.client import PAGE_SIZE
from environments.steps import SHARED_TAG, CloudView

log = structlog.get_logger(__name__)

VIEW, TAKEN_AT, LISTER, DRIFT = "droplets:view", "droplets:taken-at", "droplets:lister", "droplets:drift"
KEEP_S = 300
LISTER_S = 20  # a process that was killed while it listed
SOON_S = 0.15  # what a listing takes
REST_MAX_S = 30.0
AWAY_FROM_S = 60.0  # without a listing; a call that fails now and then must not keep a phase from its deadline
PAGE_PACE = 1.5  # a long list takes 20 calls a minute, with CLOUD_POLL_SECONDS 2
DRIFT_EVERY_S = 30.0  # changes made outside are noticed within 60 s (contract 6.3): this, the listing, and a look


class DropletWatch:
    """This process's copy of the listing. `owner` names the process."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.view: CloudView | None = None
        self._failures = 0
        self._resting_until = 0.0  # by the monotonic clock: after a listing that failed
        # Held here: looked up in a thread, Django would make a new one, with connections of its own, each time.
        self._cache = caches["default"]

    @property
    def interval_s(self) -> float:
        pages = self.view.pages if self.view else 1
        return float(settings.CLOUD_POLL_SECONDS * (1.0 if pages == 1 else PAGE_PACE * pages))

    def next_in_s(self) -> float:
        """When there will be a newer one, if somebody goes on asking for it."""
        until_due_s = self.interval_s - _age_s(self.view.taken_at) if self.view else 0.0
        return max(SOON_S, until_due_s + SOON_S, self._resting_until - time.monotonic())

    async def refresh(self, *, waits: bool) -> None:
        """Have a listing that is as new as it may be: `waits`, whether an environment waits for it."""
        if self._is_new_enough(waits) or time.monotonic() < self._resting_until:
            return
        shared = await asyncio.to_thread(self._shared)
        if shared is not None and (self.view is None or shared.taken_at > self.view.taken_at):
            self.view, self._failures = shared, 0
            if self._is_new_enough(waits):
                return
        if not await asyncio.to_thread(self._cache.add, LISTER, self.owner, LISTER_S):
            return  # another process is at it
        try:
            async with asyncio.timeout(LISTER_S):
                await self._list(Priority.LISTING if waits else Priority.BACKGROUND)
        except TimeoutError:
            self._rest("no answer in time")
        finally:
            await asyncio.to_thread(self._cache.delete, LISTER)

    def _is_new_enough(self, waits: bool) -> bool:
        limit_s = self.interval_s if waits else max(self.interval_s, DRIFT_EVERY_S)
        return self.view is not None and _age_s(self.view.taken_at) < limit_s

    def _shared(self) -> CloudView | None:
        taken_at: datetime | None = self._cache.get(TAKEN_AT)
        if taken_at is None or (self.view is not None and taken_at <= self.view.taken_at):
            return None
        view: CloudView | None = self._cache.get(VIEW)
        return view

    async def _list(self, priority: Priority) -> None:
        taken_at = timezone.now()
        try:
            droplets = await cloudapi.call(lambda cloud: cloud.droplets_by_tag(SHARED_TAG), priority=priority)
        except CloudError as error:
            return self._rest(str(error), error.request_id)
        was_away = self._failures and self.view and _age_s(self.view.taken_at) >= AWAY_FROM_S
        back_at = taken_at if was_away else self.view and self.view.back_at
        self._failures = 0
        by_tag: dict[str, list[Droplet]] = {}
        for droplet in droplets:
            for tag in droplet.tags:
                by_tag.setdefault(tag, []).append(droplet)
        by_tag.pop(SHARED_TAG, None)  # all of them once more
        self.view = CloudView(taken_at, by_tag, pages=max(1, -(-len(droplets) // PAGE_SIZE)), back_at=back_at)
        await asyncio.to_thread(self._share, self.view)
        if await asyncio.to_thread(self._cache.add, DRIFT, self.owner, DRIFT_EVERY_S * 0.8):
            await self._look_for_drift(droplets, taken_at)

    def _rest(self, error: str, cloud_request_id: str = "") -> None:
        """Don't ask again at once."""
        log.warning("cloud_listing_failed", error=error, cloud_request_id=cloud_request_id)
        self._failures += 1
        self._resting_until = time.monotonic() + min(REST_MAX_S, self.interval_s * 2 ** min(self._failures, 6))

    def _share(self, view: CloudView) -> None:
        self._cache.set(VIEW, view, KEEP_S)
        self._cache.set(TAKEN_AT, view.taken_at, KEEP_S)

    async def _look_for_drift(self, droplets: list[Droplet], taken_at: datetime) -> None:
        status = {droplet.id: droplet.status for droplet in droplets}
        changed: Any = await database_sync_to_async(leases.drifted_rows)(status, seen_at=taken_at)
        if changed:
            log.warning("changed_outside", rows=changed)


def _age_s(since: datetime) -> float:
    return (timezone.now() - since) / timedelta(seconds=1)
