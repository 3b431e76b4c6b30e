"""What has to be done now and then for recordings and guest links (settings.UPKEEP_JOBS)."""

from __future__ import annotations

from channels.db import database_sync_to_async

from terminals import recordings, shares

# Threads of their own for files: the shared one serves everybody's queries, and these wait for disks and storages.


async def recordings_pruned() -> None:
    await database_sync_to_async(recordings.recordings_prune, thread_sensitive=False)()


async def orphans_deleted() -> None:
    await database_sync_to_async(recordings.recording_orphans_delete, thread_sensitive=False)()


async def guest_links_pruned() -> None:
    await database_sync_to_async(shares.shares_prune)()
