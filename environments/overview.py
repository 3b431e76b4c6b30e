"""What operators want to see of all environments at once. It passes over the table: callers keep the answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone

from environments import billing
from environments.budget import left
from environments.lifecycle import Phase
from environments.models import CloudReport, Environment

LATE = timedelta(minutes=5)  # a row that is due is taken within seconds
ERRORS_SHOWN = 10
ERROR = ("pk", "name", "error_code", "error_message", "error_phase", "error_at")


def overview() -> dict[str, Any]:
    """`phases`, `stuck` and `errors` (newest first), `budget`: calls left in (minute, hour), `report`: the reaper's
    newest, `usd_month`: what the month has cost so far. Six queries."""
    now = timezone.now()
    live = Environment.objects.exclude(phase=Phase.TERMINATED).order_by()
    stuck = stuck_queries(now)
    aliases = {f"stuck_{number}": Count("pk", filter=Q(**query)) for number, query in enumerate(stuck.values())}
    counts = Environment.objects.order_by().aggregate(**aliases)  # also of those whose machine is still torn down
    failed = live.filter(phase=Phase.ERROR).order_by("-error_at", "-pk")
    return {
        "phases": list(live.values_list("phase").annotate(count=Count("pk")).order_by("phase")),
        "stuck": list(zip(stuck, (counts[alias] for alias in aliases), stuck.values(), strict=True)),
        "errors": list(
            failed.values("pk", "name", "error_code", "error_message", "error_phase", "error_at")[:ERRORS_SHOWN]
        ),
        "budget": left(),
        "report": CloudReport.objects.first(),
        "usd_month": usd_month(now),
    }


def stuck_queries(now: datetime) -> dict[str, dict[str, Any]]:
    """What is not as it should be, and the filter that finds it."""
    return {
        "due for more than 5 minutes": {"next_step_at__lt": now - LATE},
        "past the deadline of their phase": {"deadline_at__lt": now},
        "leased, and the lease has ended": {"lease_until__lt": now, "lease_owner__gt": ""},
    }


def usd_month(now: datetime) -> float:
    """Of all environments, also of those that are gone."""
    month_began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    billed = Environment.objects.filter(Q(billing_usd_per_hour__gt=0) | Q(billing_since__gte=month_began)).order_by()
    rows = billed.only("billing_usd_per_hour", "billing_since", "billing_month_usd").iterator()
    return sum(billing.usd_month_to_date(row, now) for row in rows)
