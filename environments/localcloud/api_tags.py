"""Tags."""

from environments.localcloud import fields
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Droplet, Tag, Volume
from environments.localcloud.present import show_tag

RESOURCE_TYPES = ("droplet", "image", "volume", "volume_snapshot")  # components/schemas/tags_resource


def tags_list(cloud: Cloud, request: Request) -> Reply:
    tags = list(cloud.store.tags.values())
    return page(request, "tags", tags, lambda tag: show_tag(cloud.store, tag, request.base_url))


def tags_create(cloud: Cloud, request: Request) -> Reply:
    name = fields.text(request.json(), "name")
    if not fields.TAG_NAME.fullmatch(name):
        raise unprocessable("Tags may only contain letters, numbers, colons, dashes, and underscores.")
    tag = cloud.store.find_tag(name) or Tag(id=name)
    cloud.store.save(tag)
    return Reply(201, {"tag": show_tag(cloud.store, tag, request.base_url)})


def _tag(cloud: Cloud, name: str) -> Tag:
    if name not in cloud.store.tags:
        raise not_found()
    return cloud.store.tags[name]


def tags_get(cloud: Cloud, request: Request, tag: str) -> Reply:
    return Reply(200, {"tag": show_tag(cloud.store, _tag(cloud, tag), request.base_url)})


def tags_delete(cloud: Cloud, request: Request, tag: str) -> Reply:
    found = _tag(cloud, tag)
    tagged: list[Droplet | Volume] = [*cloud.store.droplets.values(), *cloud.store.volumes.values()]
    changed = [resource for resource in tagged if found.id in resource.tags]
    for resource in changed:
        resource.tags.remove(found.id)
    cloud.store.delete(found, save=changed)
    return Reply(204)


def tags_assign(cloud: Cloud, request: Request, tag: str) -> Reply:
    found = _tag(cloud, tag)
    resources = _resources(cloud, request)
    for resource in resources:
        if found.id not in resource.tags:
            resource.tags.append(found.id)
        cloud.store.tag([found.id], resource.kind, str(resource.id))
    cloud.store.save(found, *resources)
    return Reply(204)


def tags_unassign(cloud: Cloud, request: Request, tag: str) -> Reply:
    found = _tag(cloud, tag)
    resources = _resources(cloud, request)
    for resource in resources:
        if found.id in resource.tags:
            resource.tags.remove(found.id)
    cloud.store.save(*resources)
    return Reply(204)


def _resources(cloud: Cloud, request: Request) -> list[Droplet | Volume]:
    """The resources that the body names; 404 where one of them does not exist."""
    found: list[Droplet | Volume] = []
    for entry in fields.rows(request.json(), "resources"):
        if not isinstance(entry, dict):
            raise fields.missing("resources")
        resource_type, resource_id = fields.text(entry, "resource_type"), fields.text(entry, "resource_id")
        if resource_type not in RESOURCE_TYPES:
            raise unprocessable(f"resource_type must be one of {', '.join(RESOURCE_TYPES)}.")
        if resource_type == "droplet" and resource_id.isascii() and resource_id.isdigit():
            found.append(cloud.droplets.get(int(resource_id)))
        elif resource_type == "volume":
            found.append(cloud.volumes.get(resource_id))
        else:
            raise not_found()
    return found
