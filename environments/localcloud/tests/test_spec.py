"""Every route against the specification."""

import re
import time
from typing import Any

import asyncssh

from environments.localcloud import api_metrics
from environments.localcloud.routes import ROUTES
from environments.localcloud.tests.conftest import IMAGE, REGION, SIZE, Api, eventually


def public_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()


async def test_every_route_answers_as_specified(api: Api, validator: Any) -> None:
    ok = api.ok
    assert (await ok("GET", "/v2/account"))["account"]["status"] == "active"

    key = (await ok("POST", "/v2/account/keys", {"name": "mine", "public_key": public_key()}))["ssh_key"]
    assert await ok("GET", "/v2/account/keys")
    assert (await ok("GET", f"/v2/account/keys/{key['id']}"))["ssh_key"] == key
    assert (await ok("GET", f"/v2/account/keys/{key['fingerprint'].replace(':', '%3A')}"))["ssh_key"] == key
    renamed = await ok("PUT", f"/v2/account/keys/{key['id']}", {"name": "renamed"})
    assert renamed["ssh_key"]["name"] == "renamed"

    assert len((await ok("GET", "/v2/sizes"))["sizes"]) == 6
    assert any(not region["available"] for region in (await ok("GET", "/v2/regions"))["regions"])
    images = (await ok("GET", "/v2/images?type=distribution"))["images"]
    by_slug, by_id = [await ok("GET", f"/v2/images/{which}") for which in (IMAGE, images[0]["id"])]
    assert by_slug == by_id

    volume = await api.volume("data")
    assert (await ok("GET", f"/v2/volumes?name=data&region={REGION}"))["volumes"][0]["id"] == volume
    tag = (await ok("POST", "/v2/tags", {"name": "Team"}))["tag"]
    assert tag["resources"]["count"] == 0
    created = await ok(
        "POST",
        "/v2/droplets",
        {"names": ["a", "b"], "size": SIZE, "image": IMAGE, "region": REGION, "ssh_keys": [key["id"]],
         "tags": ["team", "env:1"]},
    )  # fmt: skip
    first, second = [droplet["id"] for droplet in created["droplets"]]
    assert created["droplets"][0]["networks"] == {"v4": [], "v6": []}
    assert created["droplets"][0]["tags"] == ["Team", "env:1"], "the case in which the tag exists is kept"
    for link in created["links"]["actions"]:
        assert (await api.until_ended(link["id"]))["type"] == "create"
    assert len((await ok("GET", "/v2/droplets?tag_name=Team"))["droplets"]) == 2
    assert (await ok("GET", f"/v2/droplets/{first}"))["droplet"]["status"] == "active"
    assert (await ok("GET", "/v2/droplets?name=B"))["droplets"][0]["id"] == second

    action = await api.act(first, "power_off")
    assert (await ok("GET", f"/v2/droplets/{first}/actions"))["actions"][0] == action
    assert (await ok("GET", f"/v2/droplets/{first}/actions/{action['id']}"))["action"] == action
    assert len((await ok("GET", "/v2/actions"))["actions"]) == 3

    attach = await ok(
        "POST", f"/v2/volumes/{volume}/actions", {"type": "attach", "droplet_id": first, "region": REGION}
    )
    assert (await api.until_ended(attach["action"]["id"]))["status"] == "completed"
    assert (await ok("GET", f"/v2/droplets/{first}"))["droplet"]["volume_ids"] == [volume]
    assert (await ok("GET", f"/v2/volumes/{volume}/actions"))["meta"]["total"] == 1
    assert await ok("GET", f"/v2/volumes/{volume}/actions/{attach['action']['id']}")
    by_name = {"type": "detach", "droplet_id": first, "volume_name": "data", "region": REGION}
    await api.until_ended((await ok("POST", "/v2/volumes/actions", by_name))["action"]["id"])

    await ok("POST", "/v2/tags/Team/resources", {"resources": [{"resource_id": volume, "resource_type": "volume"}]})
    assert (await ok("GET", "/v2/tags/Team"))["tag"]["resources"]["count"] == 3
    await ok(
        "DELETE", "/v2/tags/Team/resources", {"resources": [{"resource_id": str(first), "resource_type": "droplet"}]}
    )
    assert (await ok("GET", "/v2/tags"))["tags"][0]["resources"]["droplets"]["count"] == 1

    await walk_snapshots(api, first, volume)
    await walk_firewalls(api, first, "Team")
    await walk_metrics(api, second)
    by_tag = await ok("POST", "/v2/droplets/actions?tag_name=Team", {"type": "power_off"})
    assert [action["resource_id"] for action in by_tag["actions"]] == [second]

    await ok("DELETE", f"/v2/droplets/{first}")
    await ok("DELETE", "/v2/droplets?tag_name=Team")
    assert (await ok("GET", "/v2/droplets"))["meta"]["total"] == 0
    await ok("DELETE", "/v2/tags/Team")
    assert (await ok("GET", f"/v2/volumes/{volume}"))["volume"]["droplet_ids"] == []
    await ok("DELETE", f"/v2/volumes?name=data&region={REGION}")
    await ok("DELETE", f"/v2/volumes/{await api.volume('other')}")
    await ok("DELETE", f"/v2/account/keys/{key['fingerprint']}")

    def operation(method: str, template: str) -> str:
        path = template.replace("{droplet}", "1").replace("{action}", "1")
        return str(validator.operation_for(method, re.sub(r"{\w+}", "x", path)).id)

    served = {operation(method, template) for method, template, _ in ROUTES}
    assert api.operations == served == {operation.id for operation in validator.operations}


async def walk_snapshots(api: Api, droplet: int, volume: str) -> None:
    """All that has to do with snapshots."""
    of_droplet = await api.snapshot(droplet)
    of_volume = (await api.ok("POST", f"/v2/volumes/{volume}/snapshots", {"name": "saved"}))["snapshot"]["id"]
    assert (await api.ok("GET", f"/v2/droplets/{droplet}/snapshots"))["snapshots"][0]["id"] == of_droplet
    assert (await api.ok("GET", f"/v2/volumes/{volume}/snapshots"))["snapshots"][0]["id"] == of_volume
    assert (await api.ok("GET", f"/v2/volumes/snapshots/{of_volume}"))["snapshot"]["id"] == of_volume
    assert (await api.ok("GET", "/v2/snapshots"))["meta"]["total"] == 2
    assert (await api.ok("GET", f"/v2/snapshots/{of_droplet}"))["snapshot"]["id"] == str(of_droplet)
    await api.ok("DELETE", f"/v2/snapshots/{of_droplet}")
    await api.ok("DELETE", f"/v2/volumes/snapshots/{of_volume}")


async def walk_firewalls(api: Api, droplet: int, tag: str) -> None:
    """All that has to do with firewalls."""
    rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}
    other = {"protocol": "tcp", "ports": "0", "destinations": {"tags": [tag]}}
    body = {"name": "edge", "inbound_rules": [rule]}
    path = f"/v2/firewalls/{(await api.ok('POST', '/v2/firewalls', body))['firewall']['id']}"
    for part, members in (("droplets", {"droplet_ids": [droplet]}), ("tags", {"tags": [tag]}),
                          ("rules", {"outbound_rules": [other]})):  # fmt: skip
        await api.ok("POST", f"{path}/{part}", members)
        if part == "droplets":
            assert (await api.ok("GET", f"/v2/droplets/{droplet}/firewalls"))["meta"]["total"] == 1
        await api.ok("DELETE", f"{path}/{part}", members)
    assert (await api.ok("PUT", path, body))["firewall"]["inbound_rules"] == [rule]
    assert (await api.ok("GET", path))["firewall"]["name"] == "edge"
    assert (await api.ok("GET", "/v2/firewalls"))["meta"]["total"] == 1
    await api.ok("DELETE", path)


async def walk_metrics(api: Api, droplet: int) -> None:
    """Every kind of metrics."""
    window = f"host_id={droplet}&start=0&end={int(time.time()) + 60}"
    for kind in api_metrics.KINDS:
        more = "&interface=public&direction=inbound" if kind == "bandwidth" else ""
        answer = await api.ok("GET", f"/v2/monitoring/metrics/droplet/{kind}?{window}{more}")
        assert answer["status"] == "success", kind


async def test_pages_have_the_links_that_make_sense(api: Api) -> None:
    for number in range(5):
        await api.ok("POST", "/v2/tags", {"name": f"t{number}"})
    seen, page = [], "/v2/tags?per_page=2"
    while page:
        body = await api.ok("GET", page)
        assert body["meta"]["total"] == 5
        seen += [tag["name"] for tag in body["tags"]]
        page = body["links"].get("pages", {}).get("next", "").removeprefix(api.url)
    assert seen == [f"t{number}" for number in range(5)]
    assert (await api.ok("GET", "/v2/tags?page=9"))["tags"] == []
    for bad in ("page=0", "per_page=201", "page=x", "page=%C2%B2"):
        assert (await api.call("GET", f"/v2/tags?{bad}")).status == 422


GOOD = {"name": "box", "size": SIZE, "image": IMAGE, "region": REGION}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "under_score"}, "hostname"),
    ({"name": "ends-"}, "hostname"),
    ({"name": "x" * 256}, "hostname"),
    ({"name": "line\n"}, "hostname"),
    ({"name": None}, "name"),
    ({"name": 7}, "name"),
    ({"names": ["a"] * 11}, "names"),
    ({"size": "s-1vcpu-512mb"}, "size"),
    ({"image": "windows-95"}, "image"),
    ({"image": True}, "image"),
    ({"region": "nyc2"}, "region"),
    ({"region": "mars1"}, "region"),
    ({"region": "tor1", "size": "s-1vcpu-512mb-10gb"}, "Size is not available"),
    ({"user_data": "x" * 65537}, "64 KiB"),
    ({"user_data": "é" * 32769}, "64 KiB"),
    ({"ssh_keys": [12]}, "12 are invalid key identifiers"),
    ({"volumes": ["8d2a6f0e-0000-4000-8000-000000000000"]}, "not found"),
    ({"tags": ["a b"]}, "Tags"),
    ({"tags": "a"}, "tags"),
    ({"ipv6": "yes"}, "ipv6"),
    ({"public_networking": False}, "public networking"),
]


async def test_droplets_that_cannot_be_are_refused(api: Api) -> None:
    for change, words in REFUSED:
        answer = await api.call("POST", "/v2/droplets", {**GOOD, **change})
        assert (answer.status, answer.body["id"]) == (422, "unprocessable_entity"), change
        assert words in answer.body["message"], change
        assert answer.body["request_id"] == answer.headers["x-request-id"]
    assert (await api.ok("GET", "/v2/droplets"))["meta"]["total"] == 0


async def test_a_region_may_be_a_prefix_or_left_out(api: Api) -> None:
    for region, found in (("nyc", "nyc1"), (None, "nyc1"), ("sfo", "sfo3")):
        body = {**GOOD, "region": region} if region else {k: v for k, v in GOOD.items() if k != "region"}
        assert (await api.ok("POST", "/v2/droplets", body))["droplet"]["region"]["slug"] == found


async def test_errors_have_the_specified_form(api: Api) -> None:
    stranger = Api(api.url, api.validator, token="dop_v1_other")
    for path in ("/v2/droplets", "/v2/nonsense", "/_localcloud/requests"):
        answer = await stranger.call("GET", path)
        assert (answer.status, answer.body["id"]) == (401, "unauthorized")
        assert "ratelimit-remaining" in answer.headers
    for path in ("/v2/nonsense", "/", "/v2/droplets/1", "/v2/droplets/abc", "/v2/volumes/x", "/v2/tags/none"):
        answer = await api.call("GET", path)
        assert (answer.status, answer.body["id"]) == (404, "not_found"), path
    for text in (b"{", b"[1]", b'{"name": NaN}', b"\xff", b"[" * 100_000):
        answer = await api.call("POST", "/v2/droplets", data=text)
        assert (answer.status, answer.body["id"]) == (400, "bad_request")
    assert (await api.call("PATCH", "/v2/droplets")).status == 405
    assert (await api.call("POST", "/v2/droplets", data=b" " * 2**21)).status == 413


async def test_an_ssh_key_can_be_there_once(api: Api) -> None:
    text = public_key()
    await api.ok("POST", "/v2/account/keys", {"name": "a", "public_key": text})
    for body in ({"name": "b", "public_key": text + " other comment"}, {"name": "c", "public_key": "ssh-rsa nonsense"}):
        assert (await api.call("POST", "/v2/account/keys", body)).status == 422


async def test_volumes_are_refused_where_the_cloud_would(api: Api) -> None:
    volume = await api.volume("data")
    good = {"name": "data", "size_gigabytes": 10, "region": REGION}
    assert (await api.call("POST", "/v2/volumes", good)).status == 409
    assert await api.volume("data", "ams3")
    for change in ({"name": "Data"}, {"name": "1x"}, {"size_gigabytes": 0}, {"size_gigabytes": 16385},
                   {"region": "nyc2"}, {"filesystem_type": "ntfs"}, {"filesystem_label": "x"}, {"snapshot_id": "x"},
                   ):  # fmt: skip
        assert (await api.call("POST", "/v2/volumes", {**good, "name": "new", **change})).status == 422, change
    droplet, other = await api.create(volumes=[volume]), await api.create("elsewhere", region="ams3")
    again = await api.call("POST", "/v2/droplets", {**GOOD, "volumes": [volume]})
    assert again.status == 422
    assert (await api.call("DELETE", f"/v2/volumes/{volume}")).status == 409
    detach = {"type": "detach", "droplet_id": other}
    answer = await api.call("POST", f"/v2/volumes/{volume}/actions", detach)
    assert (answer.status, answer.body["message"]) == (422, "Attachment not found")
    attach = {"type": "attach", "droplet_id": other}
    assert (await api.call("POST", f"/v2/volumes/{volume}/actions", attach)).status == 422
    free = await api.volume("free")
    assert (await api.call("POST", f"/v2/volumes/{free}/actions", attach)).status == 422, "another region"
    assert (await api.call("POST", f"/v2/volumes/{free}/actions", {"type": "melt"})).status == 422
    await api.ok("DELETE", f"/v2/droplets/{droplet}")
    assert await eventually(lambda: api.is_free(volume))
    await api.ok("DELETE", f"/v2/volumes/{volume}")


async def test_droplet_lists_can_be_filtered(api: Api) -> None:
    await api.create("Web", tags=["one"])
    assert (await api.ok("GET", "/v2/droplets?name=web"))["meta"]["total"] == 1
    assert (await api.ok("GET", "/v2/droplets?tag_name=none"))["meta"]["total"] == 0
    assert (await api.ok("GET", "/v2/droplets?type=gpus"))["meta"]["total"] == 0
    assert (await api.call("GET", "/v2/droplets?tag_name=one&name=web")).status == 422
    assert (await api.call("DELETE", "/v2/droplets?tag_name=none")).status == 404
