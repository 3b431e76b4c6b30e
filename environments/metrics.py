"""How busy a machine is now: asked over its shared SSH connection, once for all who want to know at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.utils import timezone

from devpocket.times import time_text
from environments import connections, sample_cache
from environments.lifecycle import Phase
from environments.models import Environment
from environments.readings import FIRST_INTERVAL_S, parse_reading, reading_command
from environments.sample_history import history
from environments.samples import Sample, counters_of, sample_from
from environments.selectors import get_environment
from environments.shared_work import SharedWork
from environments.ssh import HostKeyMismatch, SSHUnavailable, Target

log = structlog.get_logger(__name__)

FRESH = timedelta(seconds=10)  # contract 5.5: what is younger is given as it is
COMMAND_LIMIT_S = 4.0
ANSWER_LIMIT_S = 4.5  # of 5: the rest is for the database
LOOK_EVERY_S = 0.1  # for the answer that another process waits for

NO_ANSWER = (SSHUnavailable, HostKeyMismatch, TimeoutError)


# Threads of its own: a request that waits for the answer may have the one that serves its queries.
_in_thread = partial(database_sync_to_async, thread_sensitive=False)


class Collector:
    """This process's questions to machines: one at a time for each, however many wait for the answer."""

    def __init__(self, *, fresh: timedelta = FRESH, clock: Callable[[], datetime] = timezone.now) -> None:
        self._fresh, self._clock = fresh, clock
        self._asking: SharedWork[UUID, Sample] = SharedWork("metrics", expected=NO_ANSWER)

    def is_fresh(self, sample: Sample | None) -> bool:
        return sample is not None and self._clock() - sample.at < self._fresh

    async def fresh(self, environment: Environment) -> Sample:
        """A sample of the last seconds. Raises: SSHUnavailable, HostKeyMismatch, TimeoutError."""
        return await self._asking.outcome(environment.pk, lambda: self._measure(environment), limit_s=ANSWER_LIMIT_S)

    async def _measure(self, environment: Environment) -> Sample:
        last, target = await _in_thread(self._prepare)(environment)
        if last is not None and self.is_fresh(last):
            return last
        if target is None:
            return await self._from_another_process(environment)
        sample = None
        try:
            before = counters_of(last, self._clock())
            command = reading_command(interval_s=FIRST_INTERVAL_S if before is None else 0.0)
            result = await connections.pool.run(target, command, timeout_s=COMMAND_LIMIT_S)
            reading = parse_reading(result.stdout)
            if not reading.is_usable:
                raise SSHUnavailable("the machine answers, but not with a reading")
            sample = sample_from(reading, reading.cpu_before or before, self._clock())
            return sample
        finally:
            await _in_thread(sample_cache.measured)(environment.pk, sample)

    def _prepare(self, environment: Environment) -> tuple[Sample | None, Target | None]:
        """Sync. The last sample, and how to reach the machine; None where another process is asking it."""
        last = sample_cache.find_last(environment)
        if self.is_fresh(last) or not sample_cache.may_measure(environment.pk, limit_s=COMMAND_LIMIT_S + 1):
            return last, None
        try:
            return last, connections.target_for(environment)
        except ValueError as error:
            raise SSHUnavailable(str(error)) from error

    async def _from_another_process(self, environment: Environment) -> Sample:
        def look() -> tuple[bool, Sample | None]:
            is_asking = sample_cache.is_being_measured(environment.pk)  # before the sample, which is there when it ends
            return is_asking, sample_cache.find_last(environment)

        async with asyncio.timeout(COMMAND_LIMIT_S):
            while True:
                is_asking, sample = await _in_thread(look)()
                if sample is not None and self.is_fresh(sample):
                    return sample
                if not is_asking:
                    raise SSHUnavailable("another process got no answer")
                await asyncio.sleep(LOOK_EVERY_S)

    async def aclose(self) -> None:
        """End what is being asked."""
        await self._asking.aclose()


collector = Collector()


async def environment_metrics(*, environment_id: UUID, owner_id: UUID, hours: int) -> dict[str, Any]:
    """What contract 5.5 answers, within 5 s whatever the machine does. `hours` 0: without history. Raises: NotFound."""
    environment, sample, past = await database_sync_to_async(_known)(environment_id, owner_id, hours)
    if environment.phase == Phase.RUNNING and not collector.is_fresh(sample):
        try:
            sample = await collector.fresh(environment)
        except NO_ANSWER as error:
            log.info("metrics_unavailable", environment=str(environment_id), error=str(error) or type(error).__name__)
    return {**shown(environment_id, sample), "history": past}


def _known(environment_id: UUID, owner_id: UUID, hours: int) -> tuple[Environment, Sample | None, list[dict[str, Any]]]:
    """Sync, and the only part that takes a database connection: none is held while the machine is asked."""
    environment = get_environment(environment_id, owner_id=owner_id)
    sample = sample_cache.find_last(environment) if environment.phase == Phase.RUNNING else None
    return environment, sample, history(environment_id, hours=hours) if hours else []


def shown(environment_id: UUID, sample: Sample | None) -> dict[str, Any]:
    """A sample under every name that a client generation knows (contract 5.5)."""
    reading = sample.reading if sample is not None else None
    storage = reading.storage_percent if reading else None
    received, sent = (reading.network_rx, reading.network_tx) if reading else (None, None)
    at = time_text(sample.at if sample is not None else timezone.now())
    return {
        "environment_id": str(environment_id),
        "cpu_usage": sample.cpu_percent if sample is not None else None,
        "memory_usage": reading.memory_percent if reading else None,
        "disk_usage": storage,
        "storage_usage": storage,
        "network_in": received,
        "network_rx": received,
        "network_out": sent,
        "network_tx": sent,
        "uptime": reading.uptime_s if reading else None,
        "load_average": list(reading.load_average) if reading and reading.load_average else None,
        "active_connections": reading.terminals if reading else 0,
        "timestamp": at,
        "last_updated": at,
    }
