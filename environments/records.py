"""What every change of a row writes beside itself: the columns of the new phase, and the event that tells of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from environments.lifecycle import (
    FIRST_PROGRESS,
    HIBERNATE_LIMIT_S,
    MESSAGES,
    RESTORE_LIMIT_S,
    RESUME_LIMIT_S,
    Desired,
    Phase,
    deadline_s,
)
from environments.models import Environment, EnvironmentEvent

# What a row says of a machine whose set-up hasn't been looked at yet.
NOT_SET_UP: dict[str, Any] = {
    "installation_completed": False,
    "install_percent": 0,
    "install_phase": "",
    "install_message": "",
    "install_error": "",
}


def phase_columns(phase: Phase, *, limit_s: float | None = None) -> dict[str, Any]:
    """What a row gets when it enters a phase: its times, its first progress and message, and the next look at once.

    `limit_s`: how long it may take, where that isn't what the phase usually may.
    """
    now = timezone.now()
    columns: dict[str, Any] = {
        "phase": phase,
        "phase_changed_at": now,
        "updated_at": now,
        "next_step_at": now,
        "failed_steps": 0,
        "status_message": MESSAGES.get(phase, ""),
        "action_kind": "",
        "action_requested_at": None,
        "action_id": None,
        "action_failures": 0,
        "sample_due_at": now if phase == Phase.RUNNING else None,
    }
    if phase in FIRST_PROGRESS:
        columns["progress"] = FIRST_PROGRESS[phase]
    if phase != Phase.CONFIGURING:  # which has to end within the time of `installing`
        limit_s = limit_s or deadline_s(phase, install_timeout_minutes=settings.INSTALL_TIMEOUT_MINUTES)
        columns["deadline_at"] = (
            now + timedelta(seconds=limit_s * settings.DEADLINE_SCALE) if limit_s is not None else None
        )
    if phase != Phase.ERROR:
        columns |= {"error_code": "", "error_message": "", "error_phase": "", "error_at": None}
    if phase != Phase.RUNNING:
        columns |= {"cpu_percent": None, "memory_percent": None, "storage_percent": None}
    return columns


def usual_limit_s(environment: Environment) -> float | None:
    """Seconds that the row's phase may take, by what it is about."""
    phase = Phase(environment.phase)
    if phase == Phase.STOPPING and environment.desired_state == Desired.HIBERNATED:
        return HIBERNATE_LIMIT_S
    if phase == Phase.RESTARTING and environment.restore_from_id is not None:
        return RESTORE_LIMIT_S
    if phase in (Phase.STARTING, Phase.RESTARTING) and environment.droplet_id is None:
        return RESUME_LIMIT_S
    return deadline_s(phase, install_timeout_minutes=settings.INSTALL_TIMEOUT_MINUTES)


def event_record(
    environment: Environment, *, kind: str, actor_id: UUID | None = None, message: str = "", cloud_request_id: str = ""
) -> None:
    """Add to the environment's history, with the phase it is in now."""
    EnvironmentEvent.objects.create(
        environment_id=environment.pk,
        kind=kind,
        phase=environment.phase,
        message=message[:300],
        actor_id=actor_id,
        cloud_request_id=cloud_request_id[:100],
    )
