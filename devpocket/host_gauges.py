"""Gauges that are read when `GET /metrics` is asked: this process's database connections, and room on its disks.

Called in a thread of the view's; nothing of it waits for another process.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.db import connections
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

POOL_STATES = {"open": "pool_size", "idle": "pool_available", "waited_for": "requests_waiting"}


class HostGauges(Collector):
    def collect(self) -> list[GaugeMetricFamily]:
        return [self._connections(), self._disk("free"), self._disk("total")]

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # so that registering reads nothing

    def _connections(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "devpocket_database_connections",
            "Connections of this process's pool: open, idle ones of them, and how many are waited for.",
            labels=["state"],
        )
        pool = getattr(connections["default"], "pool", None)  # PostgreSQL's
        if pool is not None:
            stats = pool.get_stats()
            for state, name in POOL_STATES.items():
                family.add_metric([state], stats.get(name, 0))
        return family

    def _disk(self, part: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            f"devpocket_disk_{part}_bytes",
            f"Bytes {part} where recordings lie (work) and are kept (media).",
            labels=["of"],
        )
        for of, path in (("work", settings.RECORDING_WORK_DIR), ("media", settings.MEDIA_ROOT)):
            family.add_metric([of], getattr(shutil.disk_usage(_existing(Path(path))), part))
        return family


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


REGISTRY.register(HostGauges())
