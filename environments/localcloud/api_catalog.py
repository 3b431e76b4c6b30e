"""Sizes, regions and images: for reading only."""

from environments.localcloud import fields
from environments.localcloud.catalog import IMAGES, REGIONS, SIZES, Image
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Snapshot
from environments.localcloud.present import show_image, show_region, show_size


def sizes_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "sizes", list(SIZES.values()), show_size)


def regions_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "regions", list(REGIONS.values()), show_region)


def images_list(cloud: Cloud, request: Request) -> Reply:
    kind, tag = request.query.get("type"), request.query.get("tag_name")
    if kind not in (None, "distribution", "application"):
        raise unprocessable("type must be distribution or application.")
    is_private = fields.query_flag(request.query, "private")
    public_ones = list(IMAGES.values()) if kind != "application" and not is_private and tag is None else []
    private_ones = cloud.snapshots.all("droplet") if kind is None else []
    found: list[Image | Snapshot] = [*public_ones]
    found += [image for image in private_ones if tag is None or tag in image.tags]
    return page(request, "images", found, show_image)


def images_get(cloud: Cloud, request: Request, image: str) -> Reply:
    found = cloud.snapshots.find_image(int(image) if image.isascii() and image.isdigit() else image)
    if found is None:
        raise not_found()
    return Reply(200, {"image": show_image(found)})
