"""One firewall for all droplets: made once, put back when somebody changed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devpocket.testing.localcloud import LocalCloud
from environments import cloudapi, firewall
from environments.budget import Priority
from environments.cloud import Firewall


@pytest.fixture
def ensure(cloud: LocalCloud, settings: Any) -> Callable[[], str]:
    settings.SSH_SOURCE_ADDRESSES = ["192.0.2.7", "198.51.100.0/24"]
    return lambda: firewall.firewall_ensure(cloudapi.client(Priority.BACKGROUND))


@pytest.fixture(autouse=True)
def _none_before(cloud: LocalCloud) -> None:
    for one in cloud.ask("GET", "/v2/firewalls")["firewalls"]:
        cloud.ask("DELETE", f"/v2/firewalls/{one['id']}")


def ours(cloud: LocalCloud) -> dict[str, Any]:
    [one] = cloud.ask("GET", "/v2/firewalls")["firewalls"]
    return dict(one)


def test_it_is_made_once_and_kept(cloud: LocalCloud, ensure: Callable[[], str]) -> None:
    assert [ensure(), ensure(), ensure()] == ["made", "kept", "kept"]
    made = ours(cloud)
    assert made["tags"] == ["devpocket"]
    [ssh] = made["inbound_rules"]
    assert (ssh["protocol"], ssh["ports"]) == ("tcp", "2222")
    assert sorted(ssh["sources"]["addresses"]) == ["192.0.2.7", "198.51.100.0/24"]
    assert {rule["protocol"] for rule in made["outbound_rules"]} == {"tcp", "udp", "icmp"}


def test_a_changed_one_is_put_back(cloud: LocalCloud, ensure: Callable[[], str]) -> None:
    ensure()
    open_to_all = {"protocol": "tcp", "ports": "0", "sources": {"addresses": ["0.0.0.0/0"]}}
    cloud.ask("POST", f"/v2/firewalls/{ours(cloud)['id']}/rules", {"inbound_rules": [open_to_all]})
    assert [ensure(), ensure()] == ["repaired", "kept"]
    assert len(ours(cloud)["inbound_rules"]) == 1


def test_changed_sources_are_carried_over(cloud: LocalCloud, ensure: Callable[[], str], settings: Any) -> None:
    ensure()
    settings.SSH_SOURCE_ADDRESSES = ["203.0.113.9"]
    assert ensure() == "repaired"
    assert ours(cloud)["inbound_rules"][0]["sources"]["addresses"] == ["203.0.113.9"]


def test_the_order_and_the_words_of_the_cloud_do_not_matter(settings: Any) -> None:
    settings.SSH_SOURCE_ADDRESSES = ["192.0.2.1", "192.0.2.2"]
    rules = firewall.wanted_rules()
    rules["inbound_rules"][0]["sources"] = {"addresses": ["192.0.2.2", "192.0.2.1"], "tags": [], "droplet_ids": []}
    rules["outbound_rules"] = [{**rule, "ports": "all"} for rule in reversed(rules["outbound_rules"])]
    assert firewall.is_as_wanted(Firewall("id", "devpocket", ("devpocket",), rules))
    assert not firewall.is_as_wanted(Firewall("id", "devpocket", (), rules))
