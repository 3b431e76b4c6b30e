"""What has to be done now and then, by one of all server processes: the firewall, the reaper, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.utils.module_loading import import_string

from devpocket.tasks import TaskOwner
from environments import cloudapi, firewall, reaper
from environments.budget import Priority
from environments.cloud import CloudError
from environments.idempotency import idempotency_keys_prune

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0
JOB_LIMIT_S = 300.0
RETRY_S = 60  # of a job that failed, or whose process was killed, at the earliest


async def firewall_kept() -> None:
    await firewall.firewall_keep()


async def cloud_reaped() -> None:
    """Also where nothing is deleted: the report is what operators look at."""
    # A thread of its own: the shared one serves everybody's queries, and this one waits for the cloud.
    await database_sync_to_async(_reap, thread_sensitive=False)()


def _reap() -> None:
    client = cloudapi.client(Priority.BACKGROUND)
    reaper.cloud_reap(client, deletes_known=settings.REAPER_DELETES, deletes_unknown=False)


async def keys_forgotten() -> None:
    await database_sync_to_async(idempotency_keys_prune)()


Job = Callable[[], Awaitable[None]]

# Name: (seconds between two runs, over all processes; the job).
JOBS: dict[str, tuple[float, Job]] = {
    "firewall": (600.0, firewall_kept),
    "reaper": (3600.0, cloud_reaped),
    "idempotency-keys": (3600.0, keys_forgotten),
}


def all_jobs() -> dict[str, tuple[float, Job]]:
    """Those of the apps above this one too, which settings.UPKEEP_JOBS names."""
    return JOBS | {name: (every_s, import_string(path)) for name, (every_s, path) in settings.UPKEEP_JOBS.items()}


class Upkeep:
    """Looks which jobs are due. A key in the cache that lasts as long as a job's pause gives it to one process."""

    async def run(self) -> None:
        """Until cancelled."""
        jobs = all_jobs()
        while True:
            try:
                for name, (every_s, job) in jobs.items():
                    if await asyncio.to_thread(cache.add, f"job:{name}", True, every_s):
                        await self._do(name, job)
            except Exception:  # the cache may be away for a while
                log.exception("upkeep_failed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _do(self, name: str, job: Job) -> None:
        try:
            with structlog.contextvars.bound_contextvars(job=name):
                async with asyncio.timeout(JOB_LIMIT_S):
                    await job()
        except CloudError as error:
            log.warning("job_put_off", job=name, error=str(error), cloud_request_id=error.request_id)
        except Exception:
            log.exception("job_failed", job=name)
        else:
            return
        await asyncio.to_thread(cache.set, f"job:{name}", True, RETRY_S)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    upkeep, tasks = Upkeep(), TaskOwner()
    tasks.start(upkeep.run(), name="upkeep")
    try:
        yield
    finally:
        await tasks.aclose()
