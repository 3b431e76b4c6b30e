"""Records as the API shows them: every attribute that the specification documents, and no other."""

import time
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any

from environments.localcloud.catalog import REGIONS, SIZES, Image, Region, Size, disk_of, region_has
from environments.localcloud.cloud import Cloud
from environments.localcloud.model import Action, Droplet, Firewall, Key, Snapshot, Tag, Volume
from environments.localcloud.store import Store, Tagged

_VPCS = uuid.UUID("5a4981aa-9653-4bd1-bef5-d6bff52042e4")  # any fixed one: names the regions' default networks


def timestamp(seconds: float) -> str:
    """Unix seconds as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def default_vpc(region: str) -> str:
    """The id of a region's default private network."""
    return str(uuid.uuid5(_VPCS, region))


@cache
def show_region(region: Region) -> dict[str, Any]:
    features = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer", "private_networking"]
    return {
        "name": region.name,
        "slug": region.slug,
        "features": features,
        "available": region.available,
        "sizes": [size.slug for size in SIZES.values() if region_has(region, size)],
    }


def _disk_info(gigabytes: int) -> list[dict[str, Any]]:
    return [{"type": "local", "size": {"amount": gigabytes, "unit": "gib"}}]


@cache
def show_size(size: Size) -> dict[str, Any]:
    return {
        "slug": size.slug,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "transfer": size.transfer,
        "price_monthly": size.price_monthly,
        "price_hourly": size.price_hourly,
        "regions": [region.slug for region in REGIONS.values() if region_has(region, size)],
        "available": True,
        "description": "Basic",
        "disk_info": _disk_info(size.disk),
    }


def show_image(image: Image | Snapshot) -> dict[str, Any]:
    """An image: one of the public ones, or a droplet's snapshot."""
    return _show_public_image(image) if isinstance(image, Image) else _show_private_image(image)


def _show_private_image(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": int(snapshot.id),
        "name": snapshot.name,
        "type": "snapshot",
        "distribution": snapshot.distribution,
        "slug": None,
        "public": False,
        "regions": [snapshot.region],
        "created_at": timestamp(snapshot.created_at),
        "min_disk_size": snapshot.min_disk_size,
        "size_gigabytes": snapshot.size_gigabytes,
        "description": "",
        "tags": snapshot.tags,
        "status": "deleted" if snapshot.deleted else "available",
        "error_message": "",
    }


@cache
def _show_public_image(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "name": image.name,
        "type": "base",
        "distribution": image.distribution,
        "slug": image.slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": image.created_at,
        "min_disk_size": image.min_disk,
        "size_gigabytes": image.size_gigabytes,
        "description": f"{image.distribution} {image.name}",
        "tags": [],
        "status": "available",
        "error_message": "",
    }


def show_key(key: Key) -> dict[str, Any]:
    return {"id": key.id, "fingerprint": key.fingerprint, "public_key": key.public_key, "name": key.name}


def _show_snapshot_base(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "name": snapshot.name,
        "created_at": timestamp(snapshot.created_at),
        "regions": [snapshot.region],
        "min_disk_size": snapshot.min_disk_size,
        "size_gigabytes": snapshot.size_gigabytes,
    }


def show_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot of either kind, as among all snapshots."""
    return {
        "id": snapshot.id,
        **_show_snapshot_base(snapshot),
        "resource_id": snapshot.resource_id,
        "resource_type": snapshot.resource_type,
        "tags": snapshot.tags,
    }


def show_droplet_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """A droplet's snapshot, as among those of that droplet: with a number for its id."""
    return {"id": int(snapshot.id), **_show_snapshot_base(snapshot), "type": "snapshot"}


def show_droplet(cloud: Cloud, droplet: Droplet) -> dict[str, Any]:
    """A droplet with what belongs to it."""
    size, volumes = SIZES[droplet.size], cloud.store.volumes_of(droplet.id)
    is_new = droplet.status == "new"  # until it is active it shows neither address nor volumes
    return {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": disk_of(droplet),
        "disk_info": _disk_info(disk_of(droplet)),
        "locked": False,
        "status": droplet.status,
        "kernel": None,
        "created_at": timestamp(droplet.created_at),
        "features": droplet.features,
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [int(snapshot.id) for snapshot in cloud.store.snapshots_of("droplet", droplet.id)],
        "image": show_image(cloud.snapshots.image_of(droplet)),
        "volume_ids": [] if is_new else [volume.id for volume in volumes],
        "size": show_size(size),
        "size_slug": size.slug,
        "networks": {"v4": [] if is_new else _networks(droplet), "v6": []},
        "region": show_region(REGIONS[droplet.region]),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc_uuid,
    }


def _networks(droplet: Droplet) -> list[dict[str, Any]]:
    private = f"10.136.{droplet.id // 254 % 256}.{droplet.id % 254 + 1}"
    # A private interface has no gateway, which the specification's example writes as "nil".
    found = [{"ip_address": private, "netmask": "255.255.0.0", "gateway": "nil", "type": "private"}]
    if droplet.address:
        public = {"ip_address": droplet.address, "netmask": "255.255.0.0", "gateway": "127.77.0.1", "type": "public"}
        found.insert(0, public)
    return found


def show_action(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "status": action.status,
        "type": action.type,
        "started_at": timestamp(action.started_at),
        "completed_at": None if action.completed_at is None else timestamp(action.completed_at),
        # A volume's id is no integer, and so it is not shown here.
        "resource_id": None if action.volume_id else action.droplet_id,
        "resource_type": action.resource_type,
        "region": show_region(REGIONS[action.region]),
        "region_slug": action.region,
    }


def show_volume(volume: Volume) -> dict[str, Any]:
    return {
        "id": volume.id,
        "name": volume.name,
        "region": show_region(REGIONS[volume.region]),
        "droplet_ids": [] if volume.droplet_id is None else [volume.droplet_id],
        "description": volume.description,
        "size_gigabytes": volume.size_gigabytes,
        "created_at": timestamp(volume.created_at),
        "filesystem_type": volume.filesystem_type,
        "filesystem_label": volume.filesystem_label,
        "tags": volume.tags,
    }


def show_firewall(firewall: Firewall) -> dict[str, Any]:
    is_waiting = time.time() < firewall.in_force_at
    changes = firewall.changes.items() if is_waiting else ()
    return {
        "id": firewall.id,
        "name": firewall.name,
        "status": "waiting" if is_waiting else "succeeded",
        "created_at": timestamp(firewall.created_at),
        "pending_changes": [
            {"droplet_id": int(droplet_id), "removing": removing, "status": "waiting"}
            for droplet_id, removing in changes
        ],
        "inbound_rules": firewall.inbound_rules,
        "outbound_rules": firewall.outbound_rules,
        "droplet_ids": firewall.droplet_ids,
        "tags": firewall.tags,
    }


def resource_type_of(resource: Tagged) -> str:
    """What kind of thing this is to the tags."""
    if isinstance(resource, Snapshot):
        return "image" if resource.resource_type == "droplet" else "volume_snapshot"
    return resource.kind


_PLACES = {"volume_snapshot": "volumes/snapshots"}  # where resources are, if not under their type's plural


def show_tag(store: Store, tag: Tag, base_url: str) -> dict[str, Any]:
    """A tag with how many resources of each type it has, and links to the last ones tagged."""
    counts = dict.fromkeys(("droplet", "volume", "image", "volume_snapshot", "database"), 0)
    for resource in store.tagged(tag.id):
        counts[resource_type_of(resource)] += 1
    resources: dict[str, Any] = {"count": sum(counts.values())}
    for resource_type, count in counts.items():
        resources[f"{resource_type}s"] = {"count": count}
        if count and (last := tag.last.get(resource_type)):
            link = f"{base_url}/v2/{_PLACES.get(resource_type, f'{resource_type}s')}/{last}"
            resources[f"{resource_type}s"]["last_tagged_uri"] = link
            if tag.last.get("any") == f"{resource_type}:{last}":
                resources["last_tagged_uri"] = link
    return {"name": tag.id, "resources": resources}
