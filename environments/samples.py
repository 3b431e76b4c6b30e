"""Samples in the database and the cache: whose turn it is, what was found, what is kept.

None of it is news to whoever waits for the row: `updated_at` stays, and nobody is woken.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from devpocket.times import time_text
from environments.lifecycle import Phase
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading, cpu_percent

KEEP = timedelta(days=7)
CACHE_S = 3600
CPU_SINCE_MAX = timedelta(seconds=150)  # how old counters may be for what happened since to count as "now"
LOOK_AHEAD = 256  # due rows looked at to find those that are this process's own
PRUNE_EVERY_S = 3600
PRUNE_BATCH, PRUNE_BATCHES_MAX = 500, 2000  # a million an hour: 5,000 machines make 300,000
BACKOFF_MAX_PERIODS = 8  # how long a machine that doesn't answer is left alone; it begins with 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading and when it was taken. `cpu_percent`: since the reading before, or over its own short interval."""

    at: datetime
    cpu_percent: float | None
    reading: Reading


# --- The newest one, in the cache that all processes share


def _key(environment_id: UUID) -> str:
    return f"metrics:1:{environment_id}"  # the number changes with Sample's shape: processes of two releases share it


def find_last(environment: Environment) -> Sample | None:
    """The newest sample since the machine came up: whole from the cache, else what the history has of it."""
    sample: Sample | None = cache.get(_key(environment.pk))
    if sample is not None and sample.at >= environment.phase_changed_at:
        return sample
    row = environment.samples.filter(at__gte=environment.phase_changed_at).order_by("-at").first()
    if row is None:
        return None
    reading = Reading(
        memory_percent=row.memory_usage,
        storage_percent=row.storage_usage,
        network_rx=row.network_rx,
        network_tx=row.network_tx,
    )
    return Sample(row.at, row.cpu_usage, reading)


def may_measure(environment_id: UUID, *, limit_s: float) -> bool:
    """Whether no other process is asking the machine right now; then this one is, for `limit_s` at most."""
    return cache.add(f"{_key(environment_id)}:asking", 1, timeout=max(1, round(limit_s)))


def is_being_measured(environment_id: UUID) -> bool:
    return cache.get(f"{_key(environment_id)}:asking") is not None


def measured(environment_id: UUID, sample: Sample | None) -> None:
    """The machine was asked; None: it didn't answer."""
    if sample is not None:
        cache.set(_key(environment_id), sample, timeout=CACHE_S)
    cache.delete(f"{_key(environment_id)}:asking")


def counters_of(last: Sample | None, now: datetime) -> CPUTimes | None:
    """The last sample's counters, where what happened since tells how busy the CPU is now."""
    return last.reading.cpu if last is not None and now - last.at <= CPU_SINCE_MAX else None


def sample_from(reading: Reading, before: CPUTimes | None, now: datetime) -> Sample:
    return Sample(now, None if reading.cpu is None else cpu_percent(before, reading.cpu), reading)


# --- Whose turn it is


def next_turn(environment_id: UUID, now: datetime, *, period_s: float) -> datetime:
    """When a machine sampled now is to be sampled next: at its own second of each period, half a period away or more.

    The second follows from the id, so that machines that came up together are not sampled together for ever.
    """
    own_s = (environment_id.int % 2**32) / 2**32 * period_s
    turn_s = (now.timestamp() + period_s / 2 - own_s) // period_s + 1
    return datetime.fromtimestamp(own_s + turn_s * period_s, tz=now.tzinfo)


def samples_claim(*, limit: int, own: Collection[UUID], wait_s: float, period_s: float) -> list[Environment]:
    """Machines whose turn it is now, for this process alone; each one's next turn is written.

    Those that it sampled before (`own`) at once, since it is connected to them; others when whoever is connected to
    them hasn't come for `wait_s`.
    """
    now = timezone.now()
    due = Environment.objects.filter(phase=Phase.RUNNING, sample_due_at__lte=now, droplet_ip__isnull=False)
    overdue = now - timedelta(seconds=wait_s)
    rows = due.order_by("sample_due_at", "pk").values_list("pk", "sample_due_at")[:LOOK_AHEAD]
    turns = [(pk, due_at) for pk, due_at in rows if pk in own or due_at <= overdue][:limit]
    if not turns:
        return []
    claimed = []
    with transaction.atomic():
        for pk, due_at in turns:
            mine = Environment.objects.filter(pk=pk, phase=Phase.RUNNING, sample_due_at=due_at)
            if mine.update(sample_due_at=next_turn(pk, now, period_s=period_s)):
                claimed.append(pk)
    return list(Environment.objects.filter(pk__in=claimed, phase=Phase.RUNNING).defer("host_private_key"))


def sample_store(environment: Environment, sample: Sample) -> bool:
    """Write a sample down, unless the machine has stopped or come up anew meanwhile."""
    reading = sample.reading
    columns: dict[str, Any] = {
        "cpu_percent": sample.cpu_percent,
        "memory_percent": reading.memory_percent,
        "storage_percent": reading.storage_percent,
    }
    if sample.cpu_percent is not None and sample.cpu_percent > settings.IDLE_CPU_PERCENT:
        columns["busy_at"] = sample.at
    elif reading.output_age_s is not None:
        output_at = sample.at - timedelta(seconds=min(reading.output_age_s, KEEP.total_seconds()))
        columns["busy_at"] = max(output_at, environment.busy_at or output_at)
    with transaction.atomic():
        rows = Environment.objects.filter(
            pk=environment.pk, phase=Phase.RUNNING, phase_changed_at=environment.phase_changed_at
        )
        if not rows.update(**columns):
            return False
        MetricSample.objects.create(
            environment_id=environment.pk,
            at=sample.at,
            cpu_usage=sample.cpu_percent,
            memory_usage=reading.memory_percent,
            storage_usage=reading.storage_percent,
            network_rx=reading.network_rx,
            network_tx=reading.network_tx,
        )
    return True


def sample_put_off(environment: Environment, *, failures: int, period_s: float) -> None:
    """A machine that doesn't answer is asked less often. `failures`: in a row, this one included."""
    pause_s = period_s * min(BACKOFF_MAX_PERIODS, 2 ** min(failures, 10)) * random.uniform(0.8, 1.0)  # noqa: S311
    rows = Environment.objects.filter(
        pk=environment.pk, phase=Phase.RUNNING, phase_changed_at=environment.phase_changed_at
    )
    rows.update(sample_due_at=timezone.now() + timedelta(seconds=pause_s))


# --- What is kept


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
