"""What is at the cloud under our name and belongs to no environment: found, reported, and removed if that is wanted.

Nothing should ever be found: environments are torn down until the cloud confirms. But an answer may come an hour late,
and a database may be put back to yesterday's. What our own rows say is gone may be deleted by the hourly run; what no
row knows may be another installation's that shares the account, or that of a lost database, and so only a person
deletes it (`manage.py reap_cloud --delete`). The same goes for what a living environment doesn't know of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.utils import timezone

from environments.cloud import CloudClient, CloudError
from environments.models import CloudReport, Environment, Snapshot
from environments.steps import SHARED_TAG

log = structlog.get_logger(__name__)

OWNER = re.compile(r"dp-env-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")
GRACE = timedelta(minutes=15)  # younger things may just be coming into being
KEEP_REPORTS = timedelta(days=90)
ROW = ("pk", "droplet_id", "droplet_requested_at", "volume_id", "torn_down_at")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something billed at the cloud. `kind`: droplet, volume or snapshot. `labels`: where its owner's id may stand."""

    kind: str
    id: str
    name: str
    created_at: str
    labels: tuple[str, ...]

    @property
    def environment_id(self) -> str | None:
        return next((match[1] for label in self.labels if (match := OWNER.match(label))), None)

    @property
    def is_young(self) -> bool:
        return timezone.now() - datetime.fromisoformat(self.created_at) < GRACE


@dataclass(frozen=True, slots=True)
class Orphan:
    """`is_known`: its environment is a row of ours and is gone for good, so nobody can own it."""

    kind: str
    id: str
    name: str
    environment: str
    reason: str
    is_known: bool
    deleted: bool = False


def things_of_ours(cloud: CloudClient) -> list[Thing]:
    """All that carries our tag or our names. Droplets first, volumes last: in the order in which they can be deleted.

    Raises: CloudError.
    """
    droplets = [
        Thing("droplet", str(droplet.id), droplet.name, droplet.created_at, droplet.tags)
        for droplet in cloud.droplets_by_tag(SHARED_TAG)
    ]
    snapshots = [
        Thing("snapshot", snapshot.id, snapshot.name, snapshot.created_at, (snapshot.name,))
        for snapshot in cloud.snapshots()
        if OWNER.match(snapshot.name)
    ]
    volumes = [
        Thing("volume", volume.id, volume.name, volume.created_at, (*volume.tags, volume.name))
        for volume in cloud.volumes()
        if SHARED_TAG in volume.tags
    ]
    return [*droplets, *snapshots, *volumes]


def orphans_among(things: Iterable[Thing]) -> list[Orphan]:
    """Those that no environment owns, after the time in which one may still come to own them."""
    old = [thing for thing in things if not thing.is_young]
    ids = {UUID(thing.environment_id) for thing in old if thing.environment_id}
    rows = Environment.objects.filter(pk__in=ids).only(*ROW).in_bulk()
    # In this order: one that becomes available between the two is in one of them.
    pending = set(
        Snapshot.objects.filter(environment_id__in=ids, status=Snapshot.Status.PENDING).values_list(
            "environment_id", flat=True
        )
    )
    snapshots = set(Snapshot.objects.filter(environment_id__in=ids).values_list("cloud_snapshot_id", flat=True))
    return list(_orphans(old, rows, snapshots, pending))


def _orphans(
    things: list[Thing], rows: dict[UUID, Environment], snapshots: set[str | None], pending: set[UUID]
) -> Iterator[Orphan]:
    for thing in things:
        owner = thing.environment_id
        row = rows.get(UUID(owner)) if owner else None
        reason, is_known = "", True
        if row is None:
            reason, is_known = "no environment of ours has this id", False
        elif row.torn_down_at is not None:
            reason = "its environment is gone"
        # Its environment lives. The row may be older than the thing, where a database was put back to yesterday's.
        elif thing.kind == "droplet" and row.droplet_id is not None and str(row.droplet_id) != thing.id:
            reason, is_known = "its environment has another machine", False
        elif thing.kind == "droplet" and row.droplet_id is None and row.droplet_requested_at is None:
            reason, is_known = "its environment has no machine now", False
        elif thing.kind == "volume" and row.volume_id is not None and row.volume_id != thing.id:
            reason, is_known = "its environment has another volume", False
        elif thing.kind == "snapshot" and thing.id not in snapshots and row.pk not in pending:
            reason, is_known = "its environment doesn't know it", False
        if reason:
            yield Orphan(thing.kind, thing.id, thing.name, owner or "", reason, is_known)


def cloud_reap(cloud: CloudClient, *, deletes_known: bool, deletes_unknown: bool) -> CloudReport:
    """Look, delete what is to be deleted, and write a report. A cloud that fails in the middle is in the report."""
    found: list[Orphan] = []
    seen, error = 0, ""
    try:
        things = things_of_ours(cloud)
        seen = len(things)
        for orphan in orphans_among(things):
            if deletes_known if orphan.is_known else deletes_unknown:
                found.append(_delete(cloud, orphan))
            else:
                found.append(orphan)
    except CloudError as trouble:
        error = str(trouble)
        log.warning("reaper_stopped", error=error, cloud_request_id=trouble.request_id)
    CloudReport.objects.filter(at__lt=timezone.now() - KEEP_REPORTS).delete()
    return CloudReport.objects.create(
        deletes=deletes_known or deletes_unknown,
        seen=seen,
        found=[asdict(orphan) for orphan in found],
        error=error[:300],
    )


def _delete(cloud: CloudClient, orphan: Orphan) -> Orphan:
    """Delete one; what can't be deleted yet (a volume that isn't free) is left to the next run. Raises: CloudError."""
    log.warning("orphan_deleted", kind=orphan.kind, id=orphan.id, environment=orphan.environment)
    try:
        if orphan.kind == "droplet":
            cloud.droplet_delete(int(orphan.id))
        elif orphan.kind == "snapshot":
            cloud.snapshot_delete(orphan.id)
        else:
            cloud.volume_delete(orphan.id)
    except CloudError as error:
        if error.status not in (409, 422):
            raise
        return Orphan(**{**asdict(orphan), "reason": f"{orphan.reason}; not free yet"})
    return Orphan(**{**asdict(orphan), "deleted": True})
