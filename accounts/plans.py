"""What each plan may have (contract section 10)."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

PLAN_RANK = {"free": 0, "starter": 1, "pro": 2, "admin": 3}


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """`max_environments` None: unlimited. `max_storage_gb`: the largest volume. `idle_stop_minutes` 0: never."""

    max_environments: int | None
    max_storage_gb: int
    idle_stop_minutes: int


def plan_limits(plan: str) -> PlanLimits:
    return PlanLimits(**settings.PLANS[plan])
