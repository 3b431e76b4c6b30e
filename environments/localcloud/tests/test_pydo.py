"""The official client, which is generated from the specification."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pydo
import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy

from environments.localcloud.server import LocalCloud
from environments.localcloud.tests.conftest import IMAGE, REGION, SIZE, TOKEN


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


def use(url: str) -> None:
    with pydo.Client(TOKEN, endpoint=url, authentication_policy=PlainHttpToken(), retry_total=0) as client:
        assert client.account.get()["account"]["status"] == "active"
        new_volume = {"name": "home", "size_gigabytes": 10, "region": REGION}
        volume = client.volumes.create(body=new_volume)["volume"]["id"]
        new = {"name": "box", "size": SIZE, "image": IMAGE, "region": REGION, "volumes": [volume], "tags": ["mine"]}
        created = client.droplets.create(body=new)
        droplet, action = created["droplet"]["id"], created["links"]["actions"][0]["id"]
        until(lambda: client.actions.get(action)["action"]["status"] == "completed")
        assert client.droplets.list(tag_name="mine")["droplets"][0]["status"] == "active"
        assert client.droplets.get(droplet)["droplet"]["volume_ids"] == [volume]
        for kind, status in (("power_off", "off"), ("power_on", "active")):
            action = client.droplet_actions.post(droplet, body={"type": kind})["action"]["id"]
            with pytest.raises(HttpResponseError, match="pending event"):
                client.droplet_actions.post(droplet, body={"type": kind})
            until(lambda: client.actions.get(action)["action"]["status"] == "completed")  # noqa: B023
            assert client.droplets.get(droplet)["droplet"]["status"] == status
        client.droplets.destroy(droplet)
        assert client.droplets.get(droplet)["id"] == "not_found"
        until(lambda: client.volumes.get(volume)["volume"]["droplet_ids"] == [])
        client.volumes.delete(volume)
        assert client.volumes.list()["volumes"] == []


async def test_the_official_client_gets_along(cloud: LocalCloud) -> None:
    await asyncio.to_thread(use, cloud.url)
