"""The service that samples every running machine once per METRICS_SECONDS. Any number of processes share the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.conf import settings

from devpocket.logs import about
from devpocket.tasks import TaskOwner
from environments import sample_history
from environments.metrics import NO_ANSWER, Collector, collector
from environments.models import Environment
from environments.sample_turns import sample_put_off, samples_claim
from environments.samples import sample_store

log = structlog.get_logger(__name__)

PARALLEL = 16
LOOK_EVERY_S = 2.0
OTHERS_WAIT_S = 4.0  # how long a machine is left to the process that is connected to it: two looks
FORGET_PERIODS = 20  # without a turn: it doesn't run any more, or another process has it
PRUNE_PAUSE_S = 0.05  # between batches: others want to write too


class Sampler:
    """The loop. It remembers which machines it sampled: its connections to them are open until the next time."""

    def __init__(
        self, *, period_s: float, look_every_s: float = LOOK_EVERY_S, collector: Collector = collector
    ) -> None:
        self._period_s, self._look_every_s, self._collector = period_s, look_every_s, collector
        self._tasks = TaskOwner()
        self._own: dict[UUID, float] = {}  # machine: the loop's time of its last turn here; the longest ago first
        self._failures: dict[UUID, int] = {}  # machine: how often in a row it didn't answer
        self._busy: set[UUID] = set()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Look and sample until cancelled."""
        try:
            while True:
                self._room.clear()
                is_full = False
                try:
                    is_full = await self._look()
                    if await database_sync_to_async(sample_history.prune_is_due)():
                        self._tasks.start(self._prune(), name="metrics-prune")
                except Exception:
                    log.exception("sampler_look_failed")
                if is_full:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._look_every_s):
                            await self._room.wait()
                else:
                    await asyncio.sleep(self._look_every_s)
        finally:
            await self._tasks.aclose()

    async def _look(self) -> bool:
        """Begin to sample what is due; whether there was more than there is room for."""
        room = PARALLEL - len(self._busy)
        if room <= 0:
            return True
        claimed = await database_sync_to_async(samples_claim)(
            limit=room, own=self._own.keys(), wait_s=OTHERS_WAIT_S, period_s=self._period_s
        )
        now = asyncio.get_running_loop().time()
        for environment in claimed:
            self._own.pop(environment.pk, None)
            self._own[environment.pk] = now
            if environment.pk not in self._busy:
                self._busy.add(environment.pk)
                self._tasks.start(self._sample(environment), name=f"sample-{environment.pk}")
        while self._own and now - self._own[oldest := next(iter(self._own))] > FORGET_PERIODS * self._period_s:
            del self._own[oldest]
            self._failures.pop(oldest, None)
        return len(claimed) == room

    async def _sample(self, environment: Environment) -> None:
        about(environment_id=environment.pk)
        try:
            try:
                sample = await self._collector.fresh(environment)
            except NO_ANSWER as error:
                failures = self._failures[environment.pk] = self._failures.get(environment.pk, 0) + 1
                log.info("sample_failed", environment=str(environment.pk), failures=failures, error=str(error))
                await database_sync_to_async(sample_put_off)(environment, failures=failures, period_s=self._period_s)
            else:
                self._failures.pop(environment.pk, None)
                await database_sync_to_async(sample_store)(environment, sample)
        finally:
            self._busy.discard(environment.pk)
            self._room.set()

    async def _prune(self) -> None:
        for _ in range(sample_history.PRUNE_BATCHES_MAX):
            if not await database_sync_to_async(sample_history.samples_prune)():
                return
            await asyncio.sleep(PRUNE_PAUSE_S)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Sample for as long as the server runs. METRICS_SECONDS=0: not at all."""
    tasks = TaskOwner()
    if settings.METRICS_SECONDS > 0:
        tasks.start(Sampler(period_s=settings.METRICS_SECONDS).run(), name="sampler")
    try:
        yield
    finally:
        await tasks.aclose()
        await collector.aclose()
