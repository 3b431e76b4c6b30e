"""Droplets."""

import re
import time
from typing import Any

from environments.localcloud import fields
from environments.localcloud.api_account import find_key
from environments.localcloud.catalog import REGIONS, SIZES, Image, Region, Size, region_has
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Droplet, Snapshot, Volume, listed
from environments.localcloud.present import default_vpc, show_droplet, show_droplet_snapshot
from environments.localcloud.volumes import MOST_VOLUMES

NAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.\-]{0,253}[a-z0-9A-Z]")  # components/schemas/droplet_single_create
NAME_RULE = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
USER_DATA_LIMIT_BYTES = 64 * 1024
MOST_NAMES = 10  # droplets in one request


def droplets_list(cloud: Cloud, request: Request) -> Reply:
    tag, name, kind = (request.query.get(key) for key in ("tag_name", "name", "type"))
    if tag is not None and (name is not None or kind is not None):
        raise unprocessable("tag_name can not be combined with name or type.")
    if kind not in (None, "droplets", "gpus"):
        raise unprocessable("type must be droplets or gpus.")
    known = cloud.store.droplets.values() if tag is None else cloud.store.droplets_tagged(tag)
    found = [d for d in listed(known) if (name is None or name.lower() == d.name.lower()) and kind != "gpus"]
    return page(request, "droplets", found, lambda droplet: show_droplet(cloud, droplet))


def droplets_get(cloud: Cloud, request: Request, droplet: int) -> Reply:
    found = cloud.droplets.get(droplet)
    return Reply(200, {"droplet": show_droplet(cloud, found)})


def droplets_create(cloud: Cloud, request: Request) -> Reply:
    body = request.json()
    names = _names(body)
    size, image = find_size(body), find_image(cloud, body)
    region = _region(body, size)
    check_image(image, disk=size.disk, region=region.slug)
    user_data = fields.text(body, "user_data", "")
    if len(user_data.encode("utf-8", "surrogatepass")) > USER_DATA_LIMIT_BYTES:
        raise unprocessable("User data is too large: 64 KiB at most.")
    volumes = _volumes(cloud, body, region)
    if volumes and len(names) > 1:
        raise unprocessable("A volume can be attached to one droplet only.")
    if not fields.flag(body, "public_networking", default=True):
        raise unprocessable("Droplets without public networking can not be reached here, and are not offered.")
    vpc_uuid = fields.text(body, "vpc_uuid", default_vpc(region.slug))
    if not UUID.fullmatch(vpc_uuid):
        raise fields.missing("vpc_uuid")
    now = time.time()
    root_keys, features = _root_keys(cloud, body), _features(body)
    tags, listed_at = fields.tag_names(body), now + request.late_s()
    droplets = [
        Droplet(
            id=cloud.store.next_id("droplet"),
            name=name,
            region=region.slug,
            size=size.slug,
            image=int(image.id),
            disk=size.disk,
            created_at=now,
            ready_at=now + cloud.settings.boot_s,
            tags=list(tags),
            features=features,
            vpc_uuid=vpc_uuid,
            user_data=user_data,
            root_keys=root_keys,
            stuck=request.is_fault("never_active"),
            listed_at=listed_at,
        )
        for name in names
    ]
    actions = cloud.droplets.create(droplets, volumes=volumes, fault=request.action_fault())
    links = [
        {"id": action.id, "rel": "create", "href": f"{request.base_url}/v2/actions/{action.id}"} for action in actions
    ]
    shown = [show_droplet(cloud, droplet) for droplet in droplets]
    key_value = {"droplets": shown} if "names" in body else {"droplet": shown[0]}
    return Reply(202, {**key_value, "links": {"actions": links}})


def _names(body: dict[str, Any]) -> list[str]:
    names = fields.rows(body, "names") if "names" in body else [fields.text(body, "name")]
    if not 1 <= len(names) <= MOST_NAMES:
        raise unprocessable(f"Between 1 and {MOST_NAMES} names are needed.")
    for name in names:
        if not is_name(name):
            raise unprocessable(NAME_RULE)
    return names


def is_name(name: object) -> bool:
    """Whether a droplet can be called so."""
    return isinstance(name, str) and len(name) <= 255 and bool(NAME.fullmatch(name))


def find_size(body: dict[str, Any]) -> Size:
    """The size that a body names; 422 if there is none."""
    size = SIZES.get(fields.text(body, "size"))
    if size is None:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    return size


def find_image(cloud: Cloud, body: dict[str, Any]) -> Image | Snapshot:
    """The image or snapshot that a body names; 422 if there is none."""
    image = cloud.snapshots.find_image(body.get("image"))
    if image is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    return image


def check_image(image: Image | Snapshot, *, disk: int, region: str) -> None:
    """See that an image can be on a disk of so many GB, in a region; 422 if not."""
    if isinstance(image, Snapshot) and image.region != region:
        raise unprocessable("This image is not available in this region.")
    if (image.min_disk_size if isinstance(image, Snapshot) else image.min_disk) > disk:
        raise unprocessable("This image needs a larger disk than this size has.")


def _region(body: dict[str, Any], size: Size) -> Region:
    """The region: a slug, or the first that fits where only a prefix or nothing is given."""
    wanted = fields.text(body, "region", "")
    candidates = [REGIONS[wanted]] if wanted in REGIONS else [r for r in REGIONS.values() if r.slug[:-1] == wanted]
    candidates = candidates if wanted else list(REGIONS.values())
    if not any(region.available for region in candidates):
        raise unprocessable("You specified an invalid region for Droplet creation.")
    fitting = [region for region in candidates if region_has(region, size)]
    if not fitting:
        raise unprocessable("Size is not available in this region.")
    return fitting[0]


def _root_keys(cloud: Cloud, body: dict[str, Any]) -> list[str]:
    identifiers = fields.rows(body, "ssh_keys")
    found = [find_key(cloud, identifier) for identifier in identifiers]
    if not all(found):
        bad = ", ".join(str(i) for i, key in zip(identifiers, found, strict=True) if key is None)
        raise unprocessable(f"{bad} are invalid key identifiers for Droplet creation.")
    return [key.public_key for key in found if key]


def _features(body: dict[str, Any]) -> list[str]:
    features = ["private_networking"]
    features += [name for name in ("backups", "ipv6", "monitoring") if fields.flag(body, name)]
    return features + (["droplet_agent"] if fields.flag(body, "with_droplet_agent", default=True) else [])


def _volumes(cloud: Cloud, body: dict[str, Any], region: Region) -> list[Volume]:
    ids = fields.rows(body, "volumes")
    if len(ids) > MOST_VOLUMES or len(set(map(str, ids))) < len(ids):
        raise unprocessable(f"At most {MOST_VOLUMES} different volumes can be attached.")
    found = []
    for volume_id in ids:
        volume = cloud.store.volumes.get(str(volume_id))
        if volume is None:
            raise unprocessable(f"Volume {volume_id} was not found.")
        if volume.droplet_id is not None:
            raise unprocessable(f"Volume {volume_id} is already attached to a droplet.")
        if cloud.volumes.is_changing(volume):
            raise unprocessable(f"Volume {volume_id} has a pending event.")
        if volume.region != region.slug:
            raise unprocessable(f"Volume {volume_id} is in another region.")
        found.append(volume)
    return found


def droplets_delete(cloud: Cloud, request: Request, droplet: int) -> Reply:
    cloud.droplets.destroy(cloud.droplets.get(droplet))
    return Reply(204, headers={"content-type": "application/json"})


def droplets_delete_by_tag(cloud: Cloud, request: Request) -> Reply:
    tag = request.query.get("tag_name")
    if not tag:
        raise unprocessable("tag_name is needed.")
    if tag not in cloud.store.tags:
        raise not_found()
    for droplet in cloud.store.droplets_tagged(tag):
        cloud.droplets.destroy(droplet)
    return Reply(204, headers={"content-type": "application/json"})


def droplet_snapshots_list(cloud: Cloud, request: Request, droplet: int) -> Reply:
    found = cloud.store.snapshots_of("droplet", cloud.droplets.get(droplet).id)
    return page(request, "snapshots", found, show_droplet_snapshot)
