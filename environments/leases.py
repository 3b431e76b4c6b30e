"""The provisioner's writes: taking a row, and recording what was found and done, only while the row is held.

A lease is (owner, end). Every write names the owner, so a process that was away for longer than its lease
can't write over the one that took its place.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from devpocket.nudges import environment_group, nudge_on_commit
from environments.lifecycle import Phase
from environments.models import Environment
from environments.records import event_record, phase_columns

LEASE_S = 30


class LeaseLost(Exception):
    """Somebody else holds the row, or its phase was changed meanwhile: leave it and look again."""


def _is_free(now: datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lt=now)


def rows_due(*, limit: int) -> list[Environment]:
    """Rows to look at now that nobody holds, the longest waiting first."""
    now = timezone.now()
    due = Environment.objects.filter(_is_free(now), next_step_at__lte=now)
    return list(due.only("pk", "phase", "desired_state").order_by("next_step_at")[:limit])


def next_due_at(*, besides: Collection[UUID]) -> datetime | None:
    """When the next row that nobody holds wants to be looked at; `besides`: the caller's own."""
    now = timezone.now()
    waiting = Environment.objects.filter(_is_free(now), next_step_at__isnull=False).exclude(pk__in=besides)
    return waiting.order_by("next_step_at").values_list("next_step_at", flat=True).first()


def lease_take(environment_id: UUID, *, owner: str) -> Environment | None:
    """Hold the row for LEASE_S and give it as it is now; None where it is held or no longer due."""
    now = timezone.now()
    taken = Environment.objects.filter(_is_free(now), pk=environment_id, next_step_at__lte=now).update(
        lease_owner=owner, lease_until=now + timedelta(seconds=LEASE_S)
    )
    if not taken:
        return None
    return Environment.objects.select_related("owner", "template").get(pk=environment_id)


def lease_release(environment: Environment, *, owner: str, next_step_s: float | None, failed_steps: int = 0) -> None:
    """Let the row go and say when to look again (None: not until somebody wants something).

    Where the row was changed meanwhile (a user's action sets next_step_at to now), that stands.
    """
    held = Environment.objects.filter(pk=environment.pk, lease_owner=owner)
    due = None if next_step_s is None else timezone.now() + timedelta(seconds=next_step_s)
    held.filter(phase=environment.phase, phase_changed_at=environment.phase_changed_at).update(
        next_step_at=due, failed_steps=failed_steps
    )
    held.update(lease_owner="", lease_until=None)


def facts_record(environment: Environment, *, owner: str, **facts: Any) -> None:
    """Store what was found at the cloud or is about to be asked of it. True in any phase. Raises: LeaseLost."""
    if not Environment.objects.filter(pk=environment.pk, lease_owner=owner).update(**facts, updated_at=timezone.now()):
        raise LeaseLost
    for name, value in facts.items():
        setattr(environment, name, value)


def progress_record(environment: Environment, *, owner: str, progress: int, message: str) -> None:
    """Store how far the phase is; it never goes backwards. Raises: LeaseLost."""
    progress = max(progress, environment.progress)
    message = message[:300] or environment.status_message
    if (progress, message) == (environment.progress, environment.status_message):
        return
    with transaction.atomic():
        rows = Environment.objects.filter(pk=environment.pk, lease_owner=owner, phase=environment.phase)
        if not rows.update(progress=progress, status_message=message, updated_at=timezone.now()):
            raise LeaseLost
        nudge_on_commit(environment_group(environment.pk), "environment.changed")
    environment.progress, environment.status_message = progress, message


def phase_record(environment: Environment, phase: Phase, *, owner: str, message: str = "", **facts: Any) -> None:
    """Move the row to the next phase, unless somebody moved it first. Raises: LeaseLost."""
    columns = {**phase_columns(phase), **facts}
    with transaction.atomic():
        rows = Environment.objects.filter(
            pk=environment.pk, lease_owner=owner, phase=environment.phase, phase_changed_at=environment.phase_changed_at
        )
        if not rows.update(**columns):
            raise LeaseLost
        for name, value in columns.items():
            setattr(environment, name, value)
        event_record(environment, kind="phase_changed", message=message)
        nudge_on_commit(environment_group(environment.pk), "environment.changed")


def error_record(environment: Environment, *, owner: str, code: str, message: str, cloud_request_id: str = "") -> None:
    """Give the phase up: the row is in `error`, says why, and waits for its user. Raises: LeaseLost."""
    now = timezone.now()
    failed_phase = environment.phase
    columns = {
        **phase_columns(Phase.ERROR),
        "next_step_at": None,
        "status_message": message[:300],
        "error_code": code,
        "error_message": message[:300],
        "error_phase": failed_phase,
        "error_at": now,
    }
    with transaction.atomic():
        rows = Environment.objects.filter(pk=environment.pk, lease_owner=owner, phase=failed_phase)
        if not rows.update(**columns):
            raise LeaseLost
        for name, value in columns.items():
            setattr(environment, name, value)
        event_record(environment, kind="error", message=f"{code}: {message}", cloud_request_id=cloud_request_id)
        nudge_on_commit(environment_group(environment.pk), "environment.changed")
