"""The provisioner's writes: taking a row, and recording what was found and done, only while the row is held.

A lease is (owner, end). Every write names the owner, so a process that was away for longer than its lease
can't write over the one that took its place.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, IntegerField, Min, Q, Sum, Value, When
from django.utils import timezone

from devpocket.nudges import environment_nudge_on_commit
from environments.billing import billing_columns
from environments.lifecycle import Phase
from environments.models import Environment, Snapshot
from environments.records import event_record, phase_columns


class LeaseLost(Exception):
    """Somebody else holds the row, or its phase was changed meanwhile: leave it and look again."""


def _is_free(now: datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lt=now)


def rows_due(*, limit: int) -> list[Environment]:
    """Rows to look at now that nobody holds. What was begun comes before what is new, so that many that are asked
    for at once come up one after another instead of all running out of time together."""
    now = timezone.now()
    is_new = Case(When(phase=Phase.CREATING, then=Value(1)), default=Value(0), output_field=IntegerField())
    due = Environment.objects.filter(_is_free(now), next_step_at__lte=now)
    return list(due.only("pk", "phase", "desired_state").order_by(is_new, "next_step_at")[:limit])


def next_due_at(*, besides: Collection[UUID]) -> datetime | None:
    """When the next row that nobody holds wants to be looked at; `besides`: the caller's own."""
    now = timezone.now()
    waiting = Environment.objects.filter(_is_free(now), next_step_at__isnull=False).exclude(pk__in=besides)
    return waiting.order_by("next_step_at").values_list("next_step_at", flat=True).first()


def lag() -> tuple[int, float]:
    """How many rows wait that should be looked at by now, and for how many seconds the first of them has."""
    now = timezone.now()
    due = Environment.objects.filter(_is_free(now), next_step_at__lte=now)
    found = due.aggregate(rows=Count("pk"), first=Min("next_step_at"))
    return found["rows"], 0.0 if found["first"] is None else (now - found["first"]).total_seconds()


def lease_take(environment_id: UUID, *, owner: str) -> Environment | None:
    """Hold the row for LEASE_SECONDS and give it as it is now; None where it is held or no longer due."""
    now = timezone.now()
    taken = Environment.objects.filter(_is_free(now), pk=environment_id, next_step_at__lte=now).update(
        lease_owner=owner, lease_until=now + timedelta(seconds=settings.LEASE_SECONDS)
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
    held.filter(next_step_at=environment.next_step_at).update(next_step_at=due, failed_steps=failed_steps)
    held.update(lease_owner="", lease_until=None)


def facts_record(environment: Environment, *, owner: str, **facts: Any) -> None:
    """Store what was found at the cloud or is about to be asked of it. True in any phase. Raises: LeaseLost."""
    facts |= billing_columns(environment, facts)
    if not Environment.objects.filter(pk=environment.pk, lease_owner=owner).update(**facts, updated_at=timezone.now()):
        raise LeaseLost
    for name, value in facts.items():
        setattr(environment, name, value)


def snapshot_record(environment: Environment, snapshot: Snapshot, *, owner: str, **facts: Any) -> None:
    """The same for one of its snapshots. Raises: LeaseLost."""
    with transaction.atomic():
        facts_record(environment, owner=owner)
        Snapshot.objects.filter(pk=snapshot.pk).update(**facts)
        for name, value in facts.items():
            setattr(snapshot, name, value)
        if facts.get("action_id") is not None:  # with it, or the same action would be adopted once more
            facts_record(environment, owner=owner, last_action_id=facts["action_id"])
        if "status" in facts:
            _count_snapshots(environment, owner)


def snapshot_forget(environment: Environment, snapshot: Snapshot, *, owner: str) -> None:
    """It is gone at the cloud. Raises: LeaseLost."""
    with transaction.atomic():
        facts_record(environment, owner=owner)
        Snapshot.objects.filter(pk=snapshot.pk).delete()
        _count_snapshots(environment, owner)


def _count_snapshots(environment: Environment, owner: str) -> None:
    """Their size is paid for."""
    total = environment.snapshots.filter(status=Snapshot.Status.AVAILABLE).aggregate(gb=Sum("size_gb"))["gb"]
    facts_record(environment, owner=owner, snapshots_gb=total or 0.0)


def progress_record(
    environment: Environment, *, owner: str, progress: int, message: str, event: str = "", **facts: Any
) -> None:
    """Store how far the phase is; it never goes backwards. `facts`: other columns that go with it; `event`: its kind,
    where the history is to tell of it. Without news nothing is written. Raises: LeaseLost."""
    columns = {
        "progress": max(progress, environment.progress),
        "status_message": message[:300] or environment.status_message,
        **facts,
    }
    if all(getattr(environment, name) == value for name, value in columns.items()):
        return
    with transaction.atomic():
        rows = Environment.objects.filter(pk=environment.pk, lease_owner=owner, phase=environment.phase)
        if not rows.update(**columns, updated_at=timezone.now()):
            raise LeaseLost
        if event:
            event_record(environment, kind=event, message=message)
        environment_nudge_on_commit(environment.pk, environment.owner_id)
    for name, value in columns.items():
        setattr(environment, name, value)


def phase_record(
    environment: Environment, phase: Phase, *, owner: str, message: str = "", cloud_request_id: str = "", **facts: Any
) -> None:
    """Move the row to the next phase, unless somebody moved it first. Raises: LeaseLost."""
    columns = {**phase_columns(phase), **facts, **billing_columns(environment, facts)}
    with transaction.atomic():
        rows = Environment.objects.filter(
            pk=environment.pk, lease_owner=owner, phase=environment.phase, phase_changed_at=environment.phase_changed_at
        )
        if not rows.update(**columns):
            raise LeaseLost
        for name, value in columns.items():
            setattr(environment, name, value)
        if phase == Phase.RUNNING:  # what a hibernated machine came back from is of no more use, and costs money
            environment.snapshots.filter(kind=Snapshot.Kind.HIBERNATION).update(deleted_at=timezone.now())
        event_record(environment, kind="phase_changed", message=message, cloud_request_id=cloud_request_id)
        environment_nudge_on_commit(environment.pk, environment.owner_id)


def error_record(environment: Environment, *, owner: str, code: str, message: str, cloud_request_id: str = "") -> None:
    """Give the phase up: the row is in `error`, says why, and waits for its user. Raises: LeaseLost."""
    now = timezone.now()
    failed_phase = environment.phase
    columns = {
        **phase_columns(Phase.ERROR),
        "next_step_at": now if _has_snapshots_to_work_on(environment) else None,
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
            if name != "next_step_at":  # so that giving the row back doesn't undo it
                setattr(environment, name, value)
        event_record(environment, kind="error", message=f"{code}: {message}", cloud_request_id=cloud_request_id)
        environment_nudge_on_commit(environment.pk, environment.owner_id)


def storage_give_up(environment: Environment, *, wanted_gb: int, size_gb: int) -> None:
    """The volume stays at `size_gb`; unless more than `wanted_gb` was asked for meanwhile, the row says so."""
    rows = Environment.objects.filter(pk=environment.pk, lease_owner=environment.lease_owner)
    rows.filter(storage_size_gb=wanted_gb).update(storage_size_gb=size_gb)


def variables_tell_later(environment: Environment) -> None:
    """The machine starts without them. Raises: LeaseLost."""
    facts_record(environment, owner=environment.lease_owner, variables_changed_at=timezone.now())


def happening_record(
    environment: Environment, *, owner: str, kind: str, message: str, cloud_request_id: str = ""
) -> None:
    """Add to the history what happened besides a change of phase. Raises: LeaseLost."""
    with transaction.atomic():
        facts_record(environment, owner=owner)
        event_record(environment, kind=kind, message=message, cloud_request_id=cloud_request_id)
        environment_nudge_on_commit(environment.pk, environment.owner_id)


def _has_snapshots_to_work_on(environment: Environment) -> bool:
    return environment.snapshots.filter(Q(status=Snapshot.Status.PENDING) | Q(deleted_at__isnull=False)).exists()


def drifted_rows(droplets: dict[int, str], *, seen_at: datetime) -> int:
    """Have the rows at rest looked at whose droplet a listing (id: status) shows otherwise; how many there are.

    One query for all of them: rows at rest cost nothing while all is as it should be.
    """
    at_rest = Environment.objects.filter(
        phase__in=(Phase.RUNNING, Phase.STOPPED),
        droplet_id__isnull=False,
        next_step_at=None,
        phase_changed_at__lt=seen_at,
    )
    expected = {Phase.RUNNING: "active", Phase.STOPPED: "off"}
    changed = [
        pk
        for pk, phase, droplet_id in at_rest.values_list("pk", "phase", "droplet_id")
        if droplets.get(droplet_id) != expected[Phase(phase)]
    ]
    return Environment.objects.filter(pk__in=changed, next_step_at=None).update(next_step_at=timezone.now())


def droplets_exist() -> bool:
    """Whether any row at rest has a droplet that could change outside."""
    return Environment.objects.filter(phase__in=(Phase.RUNNING, Phase.STOPPED), droplet_id__isnull=False).exists()
