"""What the server looks at in itself, for `GET /metrics` (docs/watching.md): is it ready, does its event loop turn in
time, and how things are that all processes share.

What is shared is read by one of them every READ_EVERY_S and left in the cache for the others, so that neither scrapes
nor processes cost queries. What could not be read is left out: an old number would look like a good one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.utils.module_loading import import_string
from prometheus_client import REGISTRY, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from devpocket import __version__, health
from devpocket.tasks import TaskOwner

log = structlog.get_logger(__name__)

READ_EVERY_S = 15.0
READ_LIMIT_S = 10.0
LAG_EVERY_S = 0.5
SHARED, TURN = "watching:shared", "watching:turn"

Values = dict[str, dict[str, float]]  # by metric and by its label's value, "" where it has no label

_info = Gauge("devpocket_info", "1; the version that runs.", ["version"])
_info.labels(__version__).set(1)
_ready = Gauge("devpocket_ready", "1 where the check of /health/ready passes, else 0.", ["check"])
_lag_s = Histogram(
    "devpocket_event_loop_lag_seconds",
    "How late the event loop is, measured twice a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


class SharedGauges(Collector):
    """Gauges that are the same in each process: settings.SHARED_GAUGES."""

    def __init__(self) -> None:
        self.values: Values = {}

    def collect(self) -> list[GaugeMetricFamily]:
        families = []
        for name, (told, label, _) in settings.SHARED_GAUGES.items():
            family = GaugeMetricFamily(name, told, labels=[label] if label else [])
            for value_of, value in self.values.get(name, {}).items():
                family.add_metric([value_of] if label else [], value)
            families.append(family)
        return families


shared = SharedGauges()
REGISTRY.register(shared)


def _read_all() -> Values:
    values: Values = {}
    for path in dict.fromkeys(path for _, _, path in settings.SHARED_GAUGES.values()):
        read: Callable[[], Values] = import_string(path)
        values |= read()
    return values


def _shared_values() -> Values | None:
    """As one of the processes has read them; None: this one is to do it."""
    found: Values | None = cache.get(SHARED)
    if found is None and not cache.add(TURN, True, READ_LIMIT_S):
        return {}  # another is at it
    return found


async def _shared_or_read() -> Values:
    try:
        found = await asyncio.to_thread(_shared_values)
        if found is not None:
            return found or shared.values
    except Exception as error:  # noqa: BLE001 -- without the cache each reads for itself
        log.info("shared_gauges_not_cached", error=type(error).__name__)
    # A thread of its own: the shared one serves everybody's queries.
    values: Values = await database_sync_to_async(_read_all, thread_sensitive=False)()
    try:
        await asyncio.to_thread(cache.set, SHARED, values, READ_EVERY_S - 1)
    except Exception as error:  # noqa: BLE001
        log.info("shared_gauges_not_cached", error=type(error).__name__)
    return values


async def read_once() -> None:
    """Have all gauges of this module as they are now. Never raises, and takes READ_LIMIT_S at most for each kind."""
    for check, passes in (await health.readiness()).items():
        _ready.labels(check).set(passes)
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            shared.values = await _shared_or_read()
    except Exception as error:  # noqa: BLE001 -- the database is away, most likely; /health/ready says so
        shared.values = {}
        log.warning("shared_gauges_not_read", error=type(error).__name__)


async def _read() -> None:
    while True:
        await read_once()
        await asyncio.sleep(READ_EVERY_S)


async def _measure_lag() -> None:
    while True:
        due_at = time.perf_counter() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        _lag_s.observe(max(0.0, time.perf_counter() - due_at))


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    tasks = TaskOwner()
    if settings.METRICS_TOKEN:
        tasks.start(_measure_lag(), name="loop-lag")
        tasks.start(_read(), name="gauges")
    try:
        yield
    finally:
        await tasks.aclose()
