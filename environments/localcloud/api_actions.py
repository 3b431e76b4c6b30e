"""Actions of droplets, and actions at large."""

import time
from collections.abc import Callable
from typing import Any

from environments.localcloud import fields
from environments.localcloud.api_droplets import NAME_RULE, check_image, find_image, find_size, is_name
from environments.localcloud.catalog import REGIONS, disk_of, region_has
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Action, Droplet
from environments.localcloud.present import show_action

Details = dict[str, Any]

# What can't be done here, and why.
IMPOSSIBLE = {
    "restore": "This droplet has no backups to restore. Rebuild it from a snapshot instead.",
    "password_reset": "Droplets have no passwords here, and no mail is sent.",
    "change_kernel": "This droplet's kernel is managed internally.",
    "change_backup_policy": "Backups are never taken here.",
}
FOR_TAGS = ("power_cycle", "power_on", "power_off", "shutdown", "enable_ipv6", "enable_backups", "disable_backups",
            "snapshot")  # specification, dropletActions_post_byTag  # fmt: skip


def droplet_actions_list(cloud: Cloud, request: Request, droplet: int) -> Reply:
    return page(request, "actions", cloud.store.actions_of(droplet_id=cloud.droplets.get(droplet).id), show_action)


def droplet_actions_create(cloud: Cloud, request: Request, droplet: int) -> Reply:
    found, body = cloud.droplets.get(droplet), request.json()
    kind = fields.text(body, "type")
    cloud.droplets.check_idle(found)
    details = _details(cloud, found, kind, body) | _lateness(request, kind)
    action = cloud.droplets.act(found, kind, details, fault=request.action_fault())
    return Reply(201, {"action": show_action(action)})


def droplet_actions_create_by_tag(cloud: Cloud, request: Request) -> Reply:
    body, tag = request.json(), request.query.get("tag_name")
    kind = fields.text(body, "type")
    if not tag:
        raise unprocessable("tag_name is needed.")
    if kind not in FOR_TAGS:
        raise unprocessable(f"The action {kind!r} can't be started by tag.")
    found = cloud.store.droplets_tagged(tag)
    for droplet in found:
        cloud.droplets.check_idle(droplet)
    details = [_details(cloud, droplet, kind, body) | _lateness(request, kind) for droplet in found]
    fault = request.action_fault()
    actions = [cloud.droplets.act(droplet, kind, d, fault=fault) for droplet, d in zip(found, details, strict=True)]
    return Reply(201, {"actions": [show_action(action) for action in actions]})


def droplet_actions_get(cloud: Cloud, request: Request, droplet: int, action: int) -> Reply:
    found = _action(cloud, action)
    if found.droplet_id != cloud.droplets.get(droplet).id or found.volume_id is not None:
        raise not_found()
    return Reply(200, {"action": show_action(found)})


def _action(cloud: Cloud, action_id: int) -> Action:
    action = cloud.store.actions.get(action_id)
    if action is None:
        raise not_found()
    return action


def actions_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "actions", list(cloud.store.actions.values())[::-1], show_action)


def actions_get(cloud: Cloud, request: Request, action: int) -> Reply:
    return Reply(200, {"action": show_action(_action(cloud, action))})


# ---- what actions need to know ----


def _details(cloud: Cloud, droplet: Droplet, kind: str, body: dict[str, Any]) -> Details:
    """What the body says about an action of this type; 422 where that can't be done."""
    if kind in IMPOSSIBLE:
        raise unprocessable(IMPOSSIBLE[kind])
    if kind not in _READERS:
        raise unprocessable(f"The action {kind!r} is not known here.")
    return _READERS[kind](cloud, droplet, body)


def _lateness(request: Request, kind: str) -> Details:
    return {"late_s": request.late_s()} if kind == "snapshot" else {}


def _nothing(cloud: Cloud, droplet: Droplet, body: dict[str, Any]) -> Details:
    return {}


def _snapshot(cloud: Cloud, droplet: Droplet, body: dict[str, Any]) -> Details:
    name = fields.text(body, "name", f"{droplet.name}-{int(time.time() * 1000)}")
    if not 1 <= len(name) <= 255:
        raise fields.missing("name")
    return {"name": name}


def _rebuild(cloud: Cloud, droplet: Droplet, body: dict[str, Any]) -> Details:
    image = find_image(cloud, body)
    check_image(image, disk=disk_of(droplet), region=droplet.region)
    return {"image": int(image.id)}


def _resize(cloud: Cloud, droplet: Droplet, body: dict[str, Any]) -> Details:
    size, grows = find_size(body), fields.flag(body, "disk")
    if not region_has(REGIONS[droplet.region], size):
        raise unprocessable("Size is not available in this region.")
    if droplet.status != "off":
        raise unprocessable("You must power off the Droplet before resizing it.")
    if size.disk < disk_of(droplet):
        raise unprocessable("This size is not available because it has a smaller disk.")
    return {"size": size.slug, "disk": size.disk if grows else disk_of(droplet)}


def _rename(cloud: Cloud, droplet: Droplet, body: dict[str, Any]) -> Details:
    name = fields.text(body, "name")
    if not is_name(name):
        raise unprocessable(NAME_RULE)
    return {"name": name}


_READERS: dict[str, Callable[[Cloud, Droplet, dict[str, Any]], Details]] = {
    **dict.fromkeys(("power_on", "power_off", "shutdown", "reboot", "power_cycle"), _nothing),
    **dict.fromkeys(("enable_ipv6", "enable_backups", "disable_backups"), _nothing),
    "snapshot": _snapshot,
    "rebuild": _rebuild,
    "resize": _resize,
    "rename": _rename,
}
