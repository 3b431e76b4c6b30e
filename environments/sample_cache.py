"""Each machine's newest sample, and which process is asking it: in the cache that all processes share."""

from __future__ import annotations

from uuid import UUID

from django.core.cache import BaseCache

from devpocket.cache import shared_or_own
from environments.models import Environment
from environments.readings import Reading
from environments.samples import Sample

CACHE_S = 3600


def _key(environment_id: UUID) -> str:
    return f"metrics:1:{environment_id}"  # the number changes with Sample's shape: processes of two releases share it


def find_last(environment: Environment) -> Sample | None:
    """The newest sample since the machine came up: whole from the cache, else what the history has of it."""
    sample: Sample | None = shared_or_own(lambda cache: cache.get(_key(environment.pk)))
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
    key, timeout_s = f"{_key(environment_id)}:asking", max(1, round(limit_s))
    return shared_or_own(lambda cache: cache.add(key, 1, timeout=timeout_s))


def is_being_measured(environment_id: UUID) -> bool:
    return shared_or_own(lambda cache: cache.get(f"{_key(environment_id)}:asking")) is not None


def measured(environment_id: UUID, sample: Sample | None) -> None:
    """The machine was asked; None: it didn't answer."""

    def store(cache: BaseCache) -> None:
        if sample is not None:
            cache.set(_key(environment_id), sample, timeout=CACHE_S)
        cache.delete(f"{_key(environment_id)}:asking")

    shared_or_own(store)
