"""When a machine that nobody uses is stopped."""

from __future__ import annotations

from datetime import datetime, timedelta

from environments.lifecycle import Phase
from environments.models import Environment


def idle_stop_at(environment: Environment, *, minutes: int) -> datetime | None:
    """When it is stopped unless it is used before; None: not at all, for it isn't running or its plan never stops one.

    Used means somebody at a terminal or work on the machine; coming up counts as well. `minutes`: the plan's
    `idle_stop_minutes`.
    """
    if not minutes or environment.phase != Phase.RUNNING:
        return None
    used = (environment.last_activity_at, environment.busy_at, environment.phase_changed_at)
    stop_at = max(at for at in used if at is not None) + timedelta(minutes=minutes)
    return max(stop_at, environment.idle_extended_until or stop_at)
