"""The samples of the last days: shown, and thrown away when they are too old."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from devpocket.times import time_text
from environments.models import MetricSample

KEEP = timedelta(days=7)
PRUNE_EVERY_S = 3600
PRUNE_BATCH, PRUNE_BATCHES_MAX = 500, 2000  # a million an hour: 5,000 machines make 300,000


def history(environment_id: UUID, *, hours: int) -> list[dict[str, Any]]:
    """The samples of the last hours, oldest first, as contract 5.5 shows them."""
    rows = MetricSample.objects.filter(
        environment_id=environment_id, at__gte=timezone.now() - timedelta(hours=hours)
    ).order_by("at")
    return [
        {
            "timestamp": time_text(at),
            "cpu_usage": cpu,
            "memory_usage": memory,
            "storage_usage": storage,
            "network_rx": rx,
            "network_tx": tx,
        }
        for at, cpu, memory, storage, rx, tx in rows.values_list(
            "at", "cpu_usage", "memory_usage", "storage_usage", "network_rx", "network_tx"
        )
    ]


def prune_is_due() -> bool:
    """Whether this process is to throw away what is too old: one does, once an hour."""
    return cache.add("job:metrics-prune", 1, PRUNE_EVERY_S)


def samples_prune() -> bool:
    """Throw one batch of too old samples away; whether there are more."""
    old = MetricSample.objects.filter(at__lt=timezone.now() - KEEP).order_by("at").values_list("pk", flat=True)
    batch = list(old[:PRUNE_BATCH])
    MetricSample.objects.filter(pk__in=batch).delete()
    return len(batch) == PRUNE_BATCH
