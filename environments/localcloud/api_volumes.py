"""Volumes and their actions."""

import re
import time
import uuid
from collections.abc import Iterable
from typing import Any

from environments.localcloud import fields
from environments.localcloud.catalog import REGIONS
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Action, Snapshot, Volume, listed
from environments.localcloud.present import show_action, show_volume

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")  # components/schemas/volume_base
SMALLEST_GB, LARGEST_GB = 1, 16384  # specification, tag Block Storage
LABEL_CHARACTERS = {"": 0, "ext4": 16, "xfs": 12}  # by file system


def volumes_list(cloud: Cloud, request: Request) -> Reply:
    name, region = request.query.get("name"), request.query.get("region")
    known: Iterable[Volume] = cloud.store.volumes.values()
    if name is not None and region is not None:
        volume = cloud.store.find_volume(name, region)
        known = [volume] if volume else []
    found = [v for v in listed(known) if name in (None, v.name) and region in (None, v.region)]
    return page(request, "volumes", found, show_volume)


async def volumes_create(cloud: Cloud, request: Request) -> Reply:
    body = request.json()
    name, region = fields.text(body, "name"), fields.text(body, "region")
    snapshot = _snapshot(cloud, body, region)
    size = (
        snapshot.min_disk_size if snapshot and "size_gigabytes" not in body else fields.number(body, "size_gigabytes")
    )
    if not NAME.fullmatch(name):
        raise unprocessable("name must be lowercase, start with a letter, and have letters, numbers and - only.")
    if not SMALLEST_GB <= size <= LARGEST_GB:
        raise unprocessable(f"size_gigabytes must be between {SMALLEST_GB} and {LARGEST_GB}.")
    if snapshot and size < snapshot.min_disk_size:
        raise unprocessable(f"This snapshot needs a volume of at least {snapshot.min_disk_size} GiB.")
    if region not in REGIONS or not REGIONS[region].available:
        raise unprocessable("region is invalid or takes no volumes.")
    kind, label = fields.text(body, "filesystem_type", ""), fields.text(body, "filesystem_label", "")
    if kind not in LABEL_CHARACTERS or len(label) > LABEL_CHARACTERS[kind]:
        raise unprocessable("filesystem_type must be ext4 or xfs, filesystem_label at most 16 or 12 characters.")
    volume = Volume(
        id=str(uuid.uuid4()),
        name=name,
        region=region,
        size_gigabytes=size,
        created_at=time.time(),
        description=fields.text(body, "description", ""),
        # A snapshot has its file system in it.
        filesystem_type=snapshot.filesystem_type if snapshot else kind,
        filesystem_label=snapshot.filesystem_label if snapshot else label,
        tags=fields.tag_names(body),
        listed_at=time.time() + request.late_s(),
    )
    await cloud.volumes.create(volume, snapshot=snapshot)
    return Reply(201, {"volume": show_volume(volume)})


def _snapshot(cloud: Cloud, body: dict[str, Any], region: str) -> Snapshot | None:
    snapshot_id = fields.text(body, "snapshot_id", "")
    if not snapshot_id:
        return None
    snapshot = cloud.store.snapshots.get(snapshot_id)
    if snapshot is None or snapshot.resource_type != "volume":
        raise unprocessable("snapshot_id names no snapshot of a volume.")
    if snapshot.region != region:
        raise unprocessable("This snapshot is not available in this region.")
    return snapshot


def volumes_get(cloud: Cloud, request: Request, volume: str) -> Reply:
    return Reply(200, {"volume": show_volume(cloud.volumes.get(volume))})


def volumes_delete(cloud: Cloud, request: Request, volume: str) -> Reply:
    cloud.volumes.delete(cloud.volumes.get(volume))
    return Reply(204)


def volumes_delete_by_name(cloud: Cloud, request: Request) -> Reply:
    name, region = request.query.get("name"), request.query.get("region")
    if not name or not region:
        raise unprocessable("name and region are needed.")
    cloud.volumes.delete(_by_name(cloud, name, region))
    return Reply(204)


def _by_name(cloud: Cloud, name: str, region: str) -> Volume:
    volume = cloud.store.find_volume(name, region)
    if volume is None:
        raise not_found()
    return volume


# ---- actions ----


def volume_actions_list(cloud: Cloud, request: Request, volume: str) -> Reply:
    return page(request, "actions", cloud.store.actions_of(volume_id=cloud.volumes.get(volume).id), show_action)


def volume_actions_get(cloud: Cloud, request: Request, volume: str, action: int) -> Reply:
    found = cloud.store.actions.get(action)
    if found is None or found.volume_id != cloud.volumes.get(volume).id:
        raise not_found()
    return Reply(200, {"action": show_action(found)})


def volume_actions_create(cloud: Cloud, request: Request, volume: str) -> Reply:
    return _start(cloud, request, cloud.volumes.get(volume), request.json())


def volume_actions_create_by_name(cloud: Cloud, request: Request) -> Reply:
    body = request.json()
    if body.get("type") == "resize":
        raise unprocessable("A volume is resized by its id.")  # specification, volumeActions_post
    volume = _by_name(cloud, fields.text(body, "volume_name"), fields.text(body, "region"))
    return _start(cloud, request, volume, body)


def _start(cloud: Cloud, request: Request, volume: Volume, body: dict[str, Any]) -> Reply:
    kind, fault = fields.text(body, "type"), request.action_fault()
    if fields.text(body, "region", volume.region) != volume.region:
        raise unprocessable("The volume is in another region.")
    action: Action
    if kind == "attach":
        action = cloud.volumes.attach(volume, cloud.droplets.get(fields.number(body, "droplet_id")), fault=fault)
    elif kind == "detach":
        action = cloud.volumes.detach(volume, fields.number(body, "droplet_id"), fault=fault)
    elif kind == "resize":
        size = fields.number(body, "size_gigabytes")
        if size > LARGEST_GB:
            raise unprocessable(f"size_gigabytes must be at most {LARGEST_GB}.")
        if volume.droplet_id is not None and request.is_fault("refuse_attached"):
            # Observed: digitalocean/terraform-provider-digitalocean#357.
            raise unprocessable("The volume is attached to a droplet and can't be resized now.")
        action = cloud.volumes.resize(volume, size, fault=fault)
    else:
        raise unprocessable(f"The action {kind!r} is not known here.")
    return Reply(202, {"action": show_action(action)})
