"""The official client, which is generated from the specification: through everything that it has in common with us."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pydo
import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy

from environments.localcloud.api_metrics import KINDS
from environments.localcloud.server import LocalCloud
from environments.localcloud.tests.conftest import IMAGE, REGION, SIZE, TOKEN
from environments.localcloud.tests.test_spec import public_key

RULE = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}
OTHER_RULE = {"protocol": "tcp", "ports": "80", "sources": {"addresses": ["0.0.0.0/0"]}}


class PlainHttpToken(SansIOHTTPPolicy[Any, Any]):
    """The client's own policy refuses to send a token over plain http, loopback or not."""

    def on_request(self, request: Any) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {TOKEN}"


def until(probe: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def until_completed(client: Any, action: Any) -> None:
    until(lambda: client.actions.get(action["id"])["action"]["status"] == "completed")


def use_account(client: Any) -> None:
    assert client.account.get()["account"]["status"] == "active"
    key = client.ssh_keys.create(body={"name": "mine", "public_key": public_key()})["ssh_key"]
    assert client.ssh_keys.get(key["fingerprint"])["ssh_key"] == key
    client.ssh_keys.update(key["id"], body={"name": "renamed"})
    assert client.ssh_keys.list()["ssh_keys"][0]["name"] == "renamed"
    client.ssh_keys.delete(key["id"])
    assert client.ssh_keys.get(key["id"])["id"] == "not_found"


def use_catalog(client: Any) -> None:
    assert SIZE in [size["slug"] for size in client.sizes.list(per_page=200)["sizes"]]
    assert REGION in [region["slug"] for region in client.regions.list(per_page=200)["regions"]]
    (image,) = [i for i in client.images.list(type="distribution")["images"] if i["slug"] == IMAGE]
    assert client.images.get(image["id"])["image"] == client.images.get(IMAGE)["image"] == image


def use_droplets(client: Any, droplet: int) -> None:
    assert client.droplets.list(tag_name="mine")["droplets"][0]["status"] == "active"
    for kind, status in (("power_off", "off"), ("power_on", "active")):
        action = client.droplet_actions.post(droplet, body={"type": kind})["action"]
        with pytest.raises(HttpResponseError, match="pending event"):
            client.droplet_actions.post(droplet, body={"type": kind})
        until_completed(client, action)
        assert client.droplet_actions.get(droplet, action["id"])["action"]["status"] == "completed"
        assert client.droplets.get(droplet)["droplet"]["status"] == status
    assert client.droplet_actions.list(droplet)["meta"]["total"] == 3
    assert client.actions.list()["meta"]["total"] == 3
    (action,) = client.droplet_actions.post_by_tag(body={"type": "power_off"}, tag_name="mine")["actions"]
    until_completed(client, action)
    resize = {"type": "resize", "size": "s-2vcpu-2gb", "disk": True}
    until_completed(client, client.droplet_actions.post(droplet, body=resize)["action"])
    assert client.droplets.get(droplet)["droplet"]["disk"] == 60


def use_snapshots(client: Any, droplet: int) -> None:
    snapshot_action = client.droplet_actions.post(droplet, body={"type": "snapshot", "name": "saved"})["action"]
    until_completed(client, snapshot_action)
    (snapshot,) = client.droplets.list_snapshots(droplet)["snapshots"]
    assert client.snapshots.get(snapshot["id"])["snapshot"]["name"] == "saved"
    assert client.images.list(private=True)["images"][0]["id"] == snapshot["id"]
    rebuild = client.droplet_actions.post(droplet, body={"type": "rebuild", "image": snapshot["id"]})["action"]
    until_completed(client, rebuild)
    assert client.droplets.get(droplet)["droplet"]["status"] == "active"
    assert client.snapshots.list(resource_type="droplet")["meta"]["total"] == 1
    client.snapshots.delete(snapshot["id"])
    assert client.snapshots.get(snapshot["id"])["id"] == "not_found"


def use_volumes(client: Any, droplet: int, volume: str) -> None:
    assert client.droplets.get(droplet)["droplet"]["volume_ids"] == [volume]
    saved = client.volume_snapshots.create(volume, body={"name": "saved", "tags": ["mine"]})["snapshot"]["id"]
    assert client.volume_snapshots.list(volume)["snapshots"][0]["id"] == saved
    assert client.volume_snapshots.get_by_id(saved)["snapshot"]["min_disk_size"] == 10
    copy = {"name": "copy", "size_gigabytes": 10, "region": REGION, "snapshot_id": saved}
    client.volumes.create(body=copy)
    client.volume_snapshots.delete_by_id(saved)
    client.volumes.delete_by_name(name="copy", region=REGION)
    resize = {"type": "resize", "size_gigabytes": 20, "region": REGION}
    action = client.volume_actions.post_by_id(volume, body=resize)["action"]
    until_completed(client, action)
    assert client.volume_actions.get(volume, action["id"])["action"]["status"] == "completed"
    detach = {"type": "detach", "volume_name": "home", "droplet_id": droplet, "region": REGION}
    until_completed(client, client.volume_actions.post(body=detach)["action"])
    assert client.volume_actions.list(volume)["meta"]["total"] == 2
    shown = client.volumes.get(volume)["volume"]
    assert (shown["size_gigabytes"], shown["droplet_ids"]) == (20, [])
    client.volumes.delete(volume)
    assert client.volumes.get(volume)["id"] == "not_found"
    assert client.volumes.list()["volumes"] == []


def use_tags_and_firewalls(client: Any, droplet: int) -> None:
    client.tags.create(body={"name": "group"})
    resources = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    client.tags.assign_resources("group", body=resources)
    assert client.tags.get("group")["tag"]["resources"]["droplets"]["count"] == 1
    firewall = client.firewalls.create(body={"name": "edge", "inbound_rules": [RULE]})["firewall"]["id"]
    client.firewalls.assign_droplets(firewall, body={"droplet_ids": [droplet]})
    client.firewalls.add_tags(firewall, body={"tags": ["group"]})
    client.firewalls.add_rules(firewall, body={"inbound_rules": [OTHER_RULE]})
    (shown,) = client.droplets.list_firewalls(droplet)["firewalls"]
    assert (shown["droplet_ids"], shown["tags"], shown["inbound_rules"]) == ([droplet], ["group"], [RULE, OTHER_RULE])
    until(lambda: client.firewalls.get(firewall)["firewall"]["status"] == "succeeded")
    client.firewalls.delete_droplets(firewall, body={"droplet_ids": [droplet]})
    client.firewalls.delete_tags(firewall, body={"tags": ["group"]})
    client.firewalls.delete_rules(firewall, body={"inbound_rules": [RULE]})
    shown = client.firewalls.list()["firewalls"][0]
    assert (shown["droplet_ids"], shown["tags"], shown["inbound_rules"]) == ([], [], [OTHER_RULE])
    changed = client.firewalls.update(firewall, body={"name": "other", "inbound_rules": [RULE]})["firewall"]
    assert (changed["name"], changed["inbound_rules"]) == ("other", [RULE])
    client.firewalls.delete(firewall)
    assert client.firewalls.get(firewall)["id"] == "not_found"
    client.tags.unassign_resources("group", body=resources)
    client.tags.delete("group")
    assert [tag["name"] for tag in client.tags.list()["tags"]] == ["mine"]


def use_metrics(client: Any, droplet: int) -> None:
    window = {"host_id": str(droplet), "start": "0", "end": str(int(time.time()) + 60)}
    for kind in KINDS:
        read = getattr(client.monitoring, f"get_droplet_{kind.replace('load_', 'load')}_metrics")
        more = {"interface": "public", "direction": "inbound"} if kind == "bandwidth" else {}
        assert read(**window, **more)["status"] == "success", kind


def use(url: str) -> None:
    with pydo.Client(TOKEN, endpoint=url, authentication_policy=PlainHttpToken(), retry_total=0) as client:
        use_account(client)
        use_catalog(client)
        volume = client.volumes.create(body={"name": "home", "size_gigabytes": 10, "region": REGION})["volume"]["id"]
        new = {"name": "box", "size": SIZE, "image": IMAGE, "region": REGION, "volumes": [volume], "tags": ["mine"]}
        created = client.droplets.create(body=new)
        droplet = created["droplet"]["id"]
        until_completed(client, created["links"]["actions"][0])
        use_droplets(client, droplet)
        use_snapshots(client, droplet)
        use_metrics(client, droplet)
        use_tags_and_firewalls(client, droplet)
        use_volumes(client, droplet, volume)
        client.droplets.destroy(droplet)
        assert client.droplets.get(droplet)["id"] == "not_found"
        client.droplets.create(body={**new, "volumes": []})
        client.droplets.destroy_by_tag(tag_name="mine")
        assert client.droplets.list()["droplets"] == []


async def test_the_official_client_gets_along_with_everything(cloud: LocalCloud, validator: Any) -> None:
    await asyncio.to_thread(use, cloud.url)
    served = {
        validator.operation_for(entry["method"], entry["path"]).id
        for entry in cloud.app.traffic.requests
        if entry["status"] < 300
    }
    assert served == {operation.id for operation in validator.operations}
