"""Tags."""

from environments.localcloud import fields
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Tag
from environments.localcloud.present import resource_type_of, show_tag
from environments.localcloud.store import Tagged

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
    changed = cloud.store.tagged(found.id)
    for resource in changed:
        resource.tags.remove(found.id)
    cloud.store.delete(found, save=[*changed, *cloud.firewalls.without_tag(found.id)])
    return Reply(204)


def tags_assign(cloud: Cloud, request: Request, tag: str) -> Reply:
    found = _tag(cloud, tag)
    resources = _resources(cloud, request)
    for resource in resources:
        if found.id not in resource.tags:
            resource.tags.append(found.id)
        cloud.store.tag([found.id], resource_type_of(resource), str(resource.id))
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


def _resources(cloud: Cloud, request: Request) -> list[Tagged]:
    """The resources that the body names; 404 where one of them does not exist."""
    found: list[Tagged] = []
    for entry in fields.rows(request.json(), "resources"):
        if not isinstance(entry, dict):
            raise fields.missing("resources")
        resource_type, resource_id = fields.text(entry, "resource_type"), fields.text(entry, "resource_id")
        if resource_type not in RESOURCE_TYPES:
            raise unprocessable(f"resource_type must be one of {', '.join(RESOURCE_TYPES)}.")
        resource: Tagged
        if resource_type == "droplet":
            resource = cloud.droplets.get(int(resource_id) if resource_id.isascii() and resource_id.isdigit() else 0)
        elif resource_type == "volume":
            resource = cloud.volumes.get(resource_id)
        else:
            resource = cloud.snapshots.get(resource_id)
        if resource_type_of(resource) != resource_type:
            raise not_found()
        found.append(resource)
    return found
