"""Snapshots as their owners ask for them: made, deleted, restored. steps/ carries it out at the cloud."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from devpocket.errors import NotFound
from environments.errors import SnapshotInProgress
from environments.lifecycle import AT_REST, RESTORE_LIMIT_S, SNAPSHOT_LIMIT_S, Desired, Phase
from environments.models import Environment, Snapshot
from environments.records import event_record, phase_columns
from environments.services import invalid_state, lock_environment, row_change, wrong_phase

log = structlog.get_logger(__name__)


def snapshot_create(*, environment_id: UUID, owner_id: UUID, actor_id: UUID, name: str | None = None) -> Snapshot:
    """Ask for a copy of the machine's disk. Its phase stays as it is; the snapshot is `pending` until it is there.

    Raises: NotFound, InvalidState (also where there are as many as may be), SnapshotInProgress.
    """
    now = timezone.now()
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        _check_has_machine(environment, "be copied to a snapshot")
        if (pending := environment.snapshots.filter(status=Snapshot.Status.PENDING).first()) is not None:
            raise _in_progress(is_deleted=pending.deleted_at is not None)
        _check_snapshot_limit(environment)
        snapshot = pending_snapshot(
            environment, name=name or f"{environment.slug}-{now:%Y%m%d-%H%M%S}", kind=Snapshot.Kind.USER
        )
        row_change(environment, next_step_at=now)
        event_record(environment, kind="snapshot_requested", actor_id=actor_id, message=snapshot.name)
    log.info("snapshot_requested", environment=str(environment.pk), snapshot=str(snapshot.pk))
    return snapshot


def pending_snapshot(environment: Environment, *, name: str, kind: Snapshot.Kind) -> Snapshot:
    """The row of a snapshot that is to be made. Raises: SnapshotInProgress."""
    try:
        with transaction.atomic():
            return Snapshot.objects.create(
                environment_id=environment.pk,
                kind=kind,
                name=name[:100],
                region=environment.region,
                deadline_at=timezone.now() + timedelta(seconds=SNAPSHOT_LIMIT_S),
            )
    except IntegrityError as error:
        raise _in_progress() from error


def _in_progress(*, is_deleted: bool = False) -> SnapshotInProgress:
    """`is_deleted`: it is in no list any more, but what the cloud has begun it brings to its end."""
    if is_deleted:
        return SnapshotInProgress("The cloud still makes the snapshot that you deleted. Please wait until it is done.")
    return SnapshotInProgress("A snapshot of this environment is being made. Please wait until it is there.")


def _check_snapshot_limit(environment: Environment) -> None:
    """Each costs money for as long as it is kept. Those that failed are none, and those deleted are going."""
    limit = settings.MAX_SNAPSHOTS
    kept = environment.snapshots.filter(kind=Snapshot.Kind.USER, deleted_at=None).exclude(status=Snapshot.Status.ERROR)
    if (current := kept.count()) >= limit:
        message = f"An environment may have {limit} snapshots. Delete one to make another."
        raise invalid_state(environment, message, limit=limit, current=current)


def _check_has_machine(environment: Environment, what: str) -> None:
    if environment.phase not in AT_REST:
        raise wrong_phase(environment, what)
    if environment.desired_state == Desired.HIBERNATED:
        raise invalid_state(environment, f"This environment is hibernated: it has no machine that could {what}.")


def snapshot_delete(*, environment_id: UUID, snapshot_id: UUID, owner_id: UUID, actor_id: UUID) -> None:
    """Take a snapshot out of the owner's sight at once; it goes at the cloud in the background. Raises: NotFound."""
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        snapshot = _get(environment, snapshot_id)
        Snapshot.objects.filter(pk=snapshot.pk).update(deleted_at=timezone.now())
        row_change(environment, next_step_at=timezone.now())
        event_record(environment, kind="snapshot_delete_requested", actor_id=actor_id, message=snapshot.name)


def snapshot_restore(*, environment_id: UUID, snapshot_id: UUID, owner_id: UUID, actor_id: UUID) -> Environment:
    """Put the machine's disk back to a snapshot; the volume stays as it is. It runs afterwards.

    Raises: NotFound, InvalidState (also where the snapshot isn't available).
    """
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        snapshot = _get(environment, snapshot_id)
        _check_has_machine(environment, "be put back to a snapshot")
        if snapshot.status != Snapshot.Status.AVAILABLE:
            raise invalid_state(environment, f"The snapshot {snapshot.name} is {snapshot.status}.")
        row_change(
            environment,
            **phase_columns(Phase.RESTARTING, limit_s=RESTORE_LIMIT_S),
            desired_state=Desired.RUNNING,
            restore_from=snapshot,
        )
        event_record(environment, kind="restore_requested", actor_id=actor_id, message=snapshot.name)
    log.info("snapshot_restore_requested", environment=str(environment.pk), snapshot=str(snapshot.pk))
    return environment


def _get(environment: Environment, snapshot_id: UUID) -> Snapshot:
    snapshot = environment.snapshots.filter(pk=snapshot_id, kind=Snapshot.Kind.USER, deleted_at=None).first()
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    return snapshot
