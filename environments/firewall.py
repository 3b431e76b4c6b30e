"""The one firewall of all droplets, at the cloud: SSH from where settings say, everything outbound.

Made once and put back when somebody changed it. It covers droplets by their tag, also those that come later.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings

from environments import cloudapi
from environments.budget import Priority
from environments.cloud import CloudClient, Firewall
from environments.steps import SHARED_TAG

log = structlog.get_logger(__name__)

NAME = "devpocket"
EVERYWHERE = ["0.0.0.0/0", "::/0"]
ALL_PORTS = "0"  # the API's word for all of them (FACTS, "SSH keys, tags, firewalls")


def wanted_rules() -> dict[str, list[dict[str, Any]]]:
    """In the API's form."""
    return {
        "inbound_rules": [
            {
                "protocol": "tcp",
                "ports": str(settings.DROPLET_SSH_PORT),
                "sources": {"addresses": sorted(settings.SSH_SOURCE_ADDRESSES)},
            }
        ],
        "outbound_rules": [
            {"protocol": protocol, "ports": ALL_PORTS, "destinations": {"addresses": EVERYWHERE}}
            for protocol in ("tcp", "udp", "icmp")
        ],
    }


def is_as_wanted(firewall: Firewall) -> bool:
    """Compared by meaning: the cloud may reorder rules and addresses, and add empty lists."""
    return set(firewall.tags) == {SHARED_TAG} and _meaning(firewall.rules) == _meaning(wanted_rules())


def _meaning(rules: dict[str, list[dict[str, Any]]]) -> set[tuple[Any, ...]]:
    found = set()
    for direction, ends in (("inbound_rules", "sources"), ("outbound_rules", "destinations")):
        for rule in rules[direction]:
            named = {key: tuple(sorted(map(str, value))) for key, value in (rule.get(ends) or {}).items() if value}
            # "all" is what the real API shows for "0"; icmp has no ports.
            ports = "" if rule["protocol"] == "icmp" else {"all": ALL_PORTS}.get(rule["ports"], rule["ports"])
            found.add((direction, rule["protocol"], ports, tuple(sorted(named.items()))))
    return found


def firewall_ensure(cloud: CloudClient) -> str:
    """Look, and put right what isn't: "kept", "made" or "repaired". Raises: CloudError."""
    ours = [firewall for firewall in cloud.firewalls() if firewall.name == NAME]
    if not ours:
        cloud.tag_create(SHARED_TAG)  # a firewall's tag must exist
        cloud.firewall_create(name=NAME, tags=[SHARED_TAG], rules=wanted_rules())
        return "made"
    if is_as_wanted(ours[0]):
        return "kept"
    cloud.tag_create(SHARED_TAG)
    cloud.firewall_replace(ours[0].id, name=NAME, tags=[SHARED_TAG], rules=wanted_rules())
    return "repaired"


async def firewall_keep() -> None:
    """The same from async code. Raises: CloudError."""
    outcome = await cloudapi.call(firewall_ensure, priority=Priority.BACKGROUND)
    if outcome != "kept":
        log.warning(f"firewall_{outcome}", name=NAME)
