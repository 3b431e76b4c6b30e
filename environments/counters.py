"""What this process counts of environments and the cloud, for `GET /metrics` (docs/watching.md has the table)."""

from __future__ import annotations

import re
from datetime import datetime

from django.utils import timezone
from prometheus_client import Counter, Histogram

from environments.lifecycle import Phase

_phase_s = Histogram(
    "devpocket_phase_seconds",
    "How long environments were in a phase that passes: until the next one (done), or an error (failed).",
    ["phase", "result"],
    buckets=(1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300, 600, 900, 1800),
)
_calls = Counter(
    "devpocket_cloud_calls_total",
    "Calls to the cloud by operation and status; none: no answer.",
    ["operation", "status"],
)
_call_s = Histogram(
    "devpocket_cloud_call_seconds",
    "How long calls to the cloud took.",
    ["operation"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 11),
)
_held_back = Counter("devpocket_cloud_calls_held_back_total", "Calls not made since the budget had no room for them.")

LASTING = frozenset({Phase.RUNNING, Phase.STOPPED, Phase.ERROR, Phase.TERMINATED})
IDS = re.compile(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|\Z)")

for _phase in Phase:
    if _phase not in LASTING:
        for _result in ("done", "failed"):
            _phase_s.labels(_phase, _result)


def phase_ended(phase: str, since: datetime, *, failed: bool = False) -> None:
    """An environment has left `phase`, where it was from `since`."""
    if phase not in LASTING:
        _phase_s.labels(phase, "failed" if failed else "done").observe((timezone.now() - since).total_seconds())


def cloud_called(method: str, path: str, status: int | None, seconds: float) -> None:
    """A request to the cloud has ended. Safe from every thread."""
    operation = f"{method} {IDS.sub('/{id}', path.partition('?')[0])}"
    _calls.labels(operation, "none" if status is None else str(status)).inc()
    _call_s.labels(operation).observe(seconds)


def cloud_held_back() -> None:
    _held_back.inc()
