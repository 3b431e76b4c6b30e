"""Sizes, regions and images: for reading only."""

from environments.localcloud.catalog import IMAGES, REGIONS, SIZES, find_image
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.present import show_image, show_region, show_size


def sizes_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "sizes", list(SIZES.values()), show_size)


def regions_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "regions", list(REGIONS.values()), show_region)


def images_list(cloud: Cloud, request: Request) -> Reply:
    kind = request.query.get("type", "distribution")
    if kind not in ("distribution", "application"):
        raise unprocessable("type must be distribution or application.")
    public_ones = kind == "distribution" and request.query.get("private") != "true" and "tag_name" not in request.query
    return page(request, "images", list(IMAGES.values()) if public_ones else [], show_image)


def images_get(cloud: Cloud, request: Request, image: str) -> Reply:
    found = find_image(int(image) if image.isascii() and image.isdigit() else image)
    if found is None:
        raise not_found()
    return Reply(200, {"image": show_image(found)})
