"""Firewalls."""

import ipaddress
import re
import time
import uuid
from typing import Any

from environments.localcloud import fields
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, page, unprocessable
from environments.localcloud.model import Firewall
from environments.localcloud.present import show_firewall

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]+")  # components/schemas/firewall
PROTOCOLS = ("tcp", "udp", "icmp")
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
ALL_PORTS = "0"
ENDS = {"inbound_rules": "sources", "outbound_rules": "destinations"}
ELSEWHERE = ("load_balancer_uids", "kubernetes_ids")  # targets of which the local cloud has none

Rules = dict[str, list[dict[str, Any]]]


def firewalls_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "firewalls", list(cloud.store.firewalls.values()), show_firewall)


def droplet_firewalls_list(cloud: Cloud, request: Request, droplet: int) -> Reply:
    return page(request, "firewalls", cloud.firewalls.of_droplet(cloud.droplets.get(droplet).id), show_firewall)


def firewalls_get(cloud: Cloud, request: Request, firewall: str) -> Reply:
    return Reply(200, {"firewall": show_firewall(cloud.firewalls.get(firewall))})


def firewalls_create(cloud: Cloud, request: Request) -> Reply:
    created = _firewall(cloud, request.json(), firewall_id=str(uuid.uuid4()), created_at=time.time())
    cloud.firewalls.check_name(created.name)
    cloud.firewalls.put(created)
    return Reply(202, {"firewall": show_firewall(created)})


def firewalls_update(cloud: Cloud, request: Request, firewall: str) -> Reply:
    before = cloud.firewalls.get(firewall)
    after = _firewall(cloud, request.json(), firewall_id=before.id, created_at=before.created_at)
    cloud.firewalls.check_name(after.name, but=before)
    cloud.firewalls.put(after)
    return Reply(200, {"firewall": show_firewall(after)})


def firewalls_delete(cloud: Cloud, request: Request, firewall: str) -> Reply:
    cloud.firewalls.delete(cloud.firewalls.get(firewall))
    return Reply(204)


# ---- members ----


def droplets_add(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found = cloud.firewalls.get(firewall)
    cloud.firewalls.change_members(found, droplet_ids=[*found.droplet_ids, *_droplet_ids(cloud, request.json())])
    return Reply(204)


def droplets_remove(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found, leaving = cloud.firewalls.get(firewall), fields.rows(request.json(), "droplet_ids")
    cloud.firewalls.change_members(found, droplet_ids=[i for i in found.droplet_ids if i not in leaving])
    return Reply(204)


def tags_add(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found = cloud.firewalls.get(firewall)
    cloud.firewalls.change_members(found, tags=[*found.tags, *_tags(cloud, request.json())])
    return Reply(204)


def tags_remove(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found, leaving = cloud.firewalls.get(firewall), fields.rows(request.json(), "tags")
    cloud.firewalls.change_members(found, tags=[tag for tag in found.tags if tag not in leaving])
    return Reply(204)


def rules_add(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found, rules = cloud.firewalls.get(firewall), _rules(cloud, request.json())
    _set_rules(cloud, found, {kind: _of(found, kind) + added for kind, added in rules.items()})
    return Reply(204)


def rules_remove(cloud: Cloud, request: Request, firewall: str) -> Reply:
    found, rules = cloud.firewalls.get(firewall), _rules(cloud, request.json())
    left = {kind: [rule for rule in _of(found, kind) if rule not in removed] for kind, removed in rules.items()}
    if not any(left.values()):
        raise unprocessable("A firewall needs at least one inbound or outbound rule.")
    _set_rules(cloud, found, left)
    return Reply(204)


def _of(firewall: Firewall, kind: str) -> list[dict[str, Any]]:
    return firewall.inbound_rules if kind == "inbound_rules" else firewall.outbound_rules


def _set_rules(cloud: Cloud, firewall: Firewall, rules: Rules) -> None:
    unique: Rules = {kind: [] for kind in ENDS}
    for kind, kept in unique.items():
        kept += [rule for number, rule in enumerate(rules[kind]) if rule not in rules[kind][:number]]
    firewall.inbound_rules, firewall.outbound_rules = unique["inbound_rules"], unique["outbound_rules"]
    cloud.firewalls.put(firewall)


# ---- reading ----


def _firewall(cloud: Cloud, body: dict[str, Any], *, firewall_id: str, created_at: float) -> Firewall:
    name = fields.text(body, "name")
    if not NAME.fullmatch(name):
        raise unprocessable("name must start with a letter or number, and have letters, numbers, . and - only.")
    rules = _rules(cloud, body)
    return Firewall(
        id=firewall_id,
        name=name,
        created_at=created_at,
        inbound_rules=rules["inbound_rules"],
        outbound_rules=rules["outbound_rules"],
        droplet_ids=_droplet_ids(cloud, body),
        tags=_tags(cloud, body),
    )


def _droplet_ids(cloud: Cloud, body: dict[str, Any]) -> list[int]:
    ids = fields.rows(body, "droplet_ids")
    for droplet_id in ids:
        if isinstance(droplet_id, bool) or not isinstance(droplet_id, int) or droplet_id not in cloud.store.droplets:
            raise unprocessable(f"{droplet_id!r} is not the id of a droplet.")
    return list(dict.fromkeys(ids))


def _tags(cloud: Cloud, body: dict[str, Any]) -> list[str]:
    """Tags here must exist already (components/schemas/existing_tags_array)."""
    found = []
    for name in fields.tag_names(body):
        tag = cloud.store.find_tag(name)
        if tag is None:
            raise unprocessable(f"The tag {name!r} does not exist.")
        found.append(tag.id)
    return found


def _rules(cloud: Cloud, body: dict[str, Any]) -> Rules:
    """Both kinds of rules, at least one rule in all."""
    rules: Rules = {}
    for kind, end in ENDS.items():
        rules[kind] = [_rule(cloud, rule, end) for rule in fields.rows(body, kind)]
    if not any(rules.values()):
        raise unprocessable("At least one inbound or outbound rule is needed.")
    return rules


def _rule(cloud: Cloud, rule: Any, end: str) -> dict[str, Any]:
    if not isinstance(rule, dict):
        raise unprocessable("A rule must be an object.")
    protocol = fields.text(rule, "protocol")
    if protocol not in PROTOCOLS:
        raise unprocessable(f"protocol must be one of {', '.join(PROTOCOLS)}.")
    ports = fields.text(rule, "ports", ALL_PORTS if protocol == "icmp" else None)
    return {
        "protocol": protocol,
        "ports": ALL_PORTS if protocol == "icmp" else _ports(ports),
        end: _target(cloud, rule.get(end), end),
    }


def _ports(text: str) -> str:
    match = PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if text != ALL_PORTS and not 1 <= first <= last <= 65535:
        raise unprocessable('ports must be a string: one port, a range such as "8000-9000", or "0" for all.')
    return text


def _target(cloud: Cloud, target: Any, end: str) -> dict[str, Any]:
    if not isinstance(target, dict):
        raise fields.missing(end)
    if any(fields.rows(target, name) for name in ELSEWHERE):
        raise unprocessable(f"There are no {' or '.join(ELSEWHERE)} here.")
    addresses = fields.rows(target, "addresses")
    for address in addresses:
        try:
            ipaddress.ip_network(address if isinstance(address, str) else "", strict=False)
        except ValueError:
            raise unprocessable(f"{address!r} is neither an address nor a network.") from None
    found = {"addresses": addresses, "droplet_ids": _droplet_ids(cloud, target), "tags": _tags(cloud, target)}
    if not any(found.values()):
        raise unprocessable(f"{end} must name at least one address, droplet or tag.")
    return {name: values for name, values in found.items() if values}
