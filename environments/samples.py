"""What a measurement of a machine says, and how it is written down.

None of it is news to whoever waits for the row: `updated_at` stays, and nobody is woken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from environments.lifecycle import Phase
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading, cpu_percent
from environments.sample_history import KEEP

CPU_SINCE_MAX = timedelta(seconds=150)  # how old counters may be for what happened since to count as "now"


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading and when it was taken. `cpu_percent`: since the reading before, or over its own short interval."""

    at: datetime
    cpu_percent: float | None
    reading: Reading


def counters_of(last: Sample | None, now: datetime) -> CPUTimes | None:
    """The last sample's counters, where what happened since tells how busy the CPU is now."""
    return last.reading.cpu if last is not None and now - last.at <= CPU_SINCE_MAX else None


def sample_from(reading: Reading, before: CPUTimes | None, now: datetime) -> Sample:
    return Sample(now, None if reading.cpu is None else cpu_percent(before, reading.cpu), reading)


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
