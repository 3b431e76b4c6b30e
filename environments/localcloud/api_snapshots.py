"""Snapshots of droplets and of volumes."""

from environments.localcloud import fields
from environments.localcloud.catalog import IMAGES
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import ApiError, Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Snapshot
from environments.localcloud.present import show_snapshot


def snapshots_list(cloud: Cloud, request: Request) -> Reply:
    kind = request.query.get("resource_type")
    if kind not in (None, "droplet", "volume"):
        raise unprocessable("resource_type must be droplet or volume.")
    return page(request, "snapshots", cloud.snapshots.all(kind), show_snapshot)


def _snapshot(cloud: Cloud, snapshot_id: str) -> Snapshot:
    if snapshot_id.isascii() and snapshot_id.isdigit() and int(snapshot_id) in IMAGES:
        raise ApiError(400, "the resource is not a snapshot")
    return cloud.snapshots.get(snapshot_id)


def snapshots_get(cloud: Cloud, request: Request, snapshot: str) -> Reply:
    return Reply(200, {"snapshot": show_snapshot(_snapshot(cloud, snapshot))})


def snapshots_delete(cloud: Cloud, request: Request, snapshot: str) -> Reply:
    cloud.snapshots.delete(_snapshot(cloud, snapshot))
    return Reply(204)


# ---- those of volumes ----


def volume_snapshots_list(cloud: Cloud, request: Request, volume: str) -> Reply:
    found = cloud.store.snapshots_of("volume", cloud.volumes.get(volume).id)
    return page(request, "snapshots", found, show_snapshot)


async def volume_snapshots_create(cloud: Cloud, request: Request, volume: str) -> Reply:
    found, body = cloud.volumes.get(volume), request.json()
    name = fields.text(body, "name")
    if not 1 <= len(name) <= 255:
        raise fields.missing("name")
    snapshot = await cloud.snapshots.of_volume(found, name, fields.tag_names(body), late_s=request.late_s())
    return Reply(201, {"snapshot": show_snapshot(snapshot)})


def _volume_snapshot(cloud: Cloud, snapshot_id: str) -> Snapshot:
    snapshot = cloud.snapshots.get(snapshot_id)
    if snapshot.resource_type != "volume":
        raise not_found()
    return snapshot


def volume_snapshots_get(cloud: Cloud, request: Request, snapshot: str) -> Reply:
    return Reply(200, {"snapshot": show_snapshot(_volume_snapshot(cloud, snapshot))})


def volume_snapshots_delete(cloud: Cloud, request: Request, snapshot: str) -> Reply:
    cloud.snapshots.delete(_volume_snapshot(cloud, snapshot))
    return Reply(204)
