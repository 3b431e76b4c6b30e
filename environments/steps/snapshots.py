"""Snapshots at the cloud, one at a time: made, found again after a lost answer, deleted."""

from __future__ import annotations

import structlog
from django.db.models import Q
from django.utils import timezone

from environments.cloud import CloudNotFound, CloudRejected, CloudThrottled, DropletSnapshot
from environments.models import Environment, Snapshot
from environments.steps.tools import ACTION_REPEAT_S, LATER_S, NextLook, Tools, age_s, newest_action

log = structlog.get_logger(__name__)

FAST_S, SLOW_S = 30.0, 5.0  # how long it is looked at every 2 s, and how often after that


def find_pending(environment: Environment) -> Snapshot | None:
    """The one that its owner asked for and that is being made: the droplet can do nothing else meanwhile."""
    return environment.snapshots.filter(status=Snapshot.Status.PENDING, kind=Snapshot.Kind.USER).first()


def snapshots_to_work_on(environment: Environment) -> list[Snapshot]:
    """Pending and unwanted ones, the pending one first: what is under way comes to its end before all else."""
    rows = environment.snapshots.filter(Q(status=Snapshot.Status.PENDING) | Q(deleted_at__isnull=False))
    return sorted(rows, key=lambda snapshot: (snapshot.status != Snapshot.Status.PENDING, snapshot.created_at))


async def work_on_snapshots(environment: Environment, tools: Tools) -> NextLook:
    """Take the environment's snapshots one step on; None: there is nothing to do."""
    for snapshot in await tools.read(lambda: snapshots_to_work_on(environment)):
        if snapshot.status == Snapshot.Status.PENDING:
            return await make(environment, tools, snapshot)
        await _remove(environment, tools, snapshot)
        return 0.0
    return None


async def make(environment: Environment, tools: Tools, snapshot: Snapshot) -> NextLook:
    """One step towards the snapshot; it ends as available or error."""
    droplet_id = environment.droplet_id
    if droplet_id is None:
        return await _fail(environment, tools, snapshot, "the machine is gone")
    if snapshot.deadline_at is not None and timezone.now() > snapshot.deadline_at:
        return await _fail(environment, tools, snapshot, "it took too long")
    try:
        if snapshot.action_id is None:
            return await _ask(environment, tools, snapshot, droplet_id)
        action_id = snapshot.action_id
        action = await tools.cloud(lambda cloud: cloud.action_get(action_id))
        if action.status == "errored":
            return await _fail(environment, tools, snapshot, "the cloud could not make it")
        if action.status != "completed":
            return LATER_S if age_s(snapshot.created_at) < FAST_S else SLOW_S
        found = await tools.cloud(lambda cloud: cloud.droplet_snapshots(droplet_id))
    except CloudNotFound:
        return await _fail(environment, tools, snapshot, "the machine is gone")
    made = next((one for one in found if one.name == snapshot.cloud_name), None)
    if made is None:
        return LATER_S  # listings may lag; the deadline ends it
    await _finish(environment, tools, snapshot, made)
    return 0.0


async def _ask(environment: Environment, tools: Tools, snapshot: Snapshot, droplet_id: int) -> NextLook:
    if snapshot.requested_at is not None:
        found = await newest_action(environment, tools, droplet_id, "snapshot")
        if found is not None:
            return await _asked(environment, tools, snapshot, found)
        if age_s(snapshot.requested_at) < ACTION_REPEAT_S:
            return LATER_S
    await tools.record_snapshot(environment, snapshot, requested_at=timezone.now())
    name = snapshot.cloud_name
    try:
        action = await tools.cloud(lambda cloud: cloud.droplet_action(droplet_id, "snapshot", name=name))
    except CloudThrottled:
        await tools.record_snapshot(environment, snapshot, requested_at=None)  # it wasn't begun
        raise
    except CloudRejected as error:
        if error.is_pending_event:
            await tools.record_snapshot(environment, snapshot, requested_at=None)
            return LATER_S
        if error.is_about_token:
            raise
        return await _fail(environment, tools, snapshot, str(error).partition(": ")[2])
    return await _asked(environment, tools, snapshot, action.id)


async def _asked(environment: Environment, tools: Tools, snapshot: Snapshot, action_id: int) -> NextLook:
    await tools.record_snapshot(environment, snapshot, action_id=action_id)
    return LATER_S


async def _finish(environment: Environment, tools: Tools, snapshot: Snapshot, made: DropletSnapshot) -> None:
    await tools.record_snapshot(
        environment,
        snapshot,
        status=Snapshot.Status.AVAILABLE,
        cloud_snapshot_id=made.id,
        size_gb=made.size_gb,
        min_disk_gb=made.min_disk_gb,
        completed_at=timezone.now(),
    )
    if snapshot.kind == Snapshot.Kind.USER:
        await tools.record_event(environment, "snapshot_available", snapshot.name)


async def _fail(environment: Environment, tools: Tools, snapshot: Snapshot, why: str) -> NextLook:
    message = f"The snapshot could not be made: {why}."
    log.warning("snapshot_failed", environment=str(environment.pk), snapshot=str(snapshot.pk), why=why)
    await tools.record_snapshot(
        environment,
        snapshot,
        status=Snapshot.Status.ERROR,
        error_message=message[:300],
        completed_at=timezone.now(),
    )
    await tools.record_event(environment, "snapshot_error", f"{snapshot.name}: {why}")
    return 0.0


async def _remove(environment: Environment, tools: Tools, snapshot: Snapshot) -> None:
    """Delete it at the cloud, and then its row. One that failed may have come into being all the same."""
    snapshot_id = snapshot.cloud_snapshot_id
    if snapshot_id is None and snapshot.requested_at is not None:
        everything = await tools.cloud(lambda cloud: cloud.snapshots())
        snapshot_id = next((one.id for one in everything if one.name == snapshot.cloud_name), None)
    if snapshot_id is not None:
        try:
            await tools.cloud(lambda cloud: cloud.snapshot_delete(snapshot_id))
        except CloudRejected as error:
            if error.status != 400:  # the id is no snapshot (any more): FACTS, Snapshots
                raise
    await tools.forget_snapshot(environment, snapshot)
