"""Regions, sizes, info, clusters; and what is known of sizes while the cloud doesn't answer (contract section 8)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from devpocket.tests import wire
from environments import catalogue, cloudapi
from environments.cloud import CloudUnreachable
from environments.models import Environment
from environments.tests.api import ClientOf, decode_environment, number, post

pytestmark = pytest.mark.django_db

REGION = {"slug": wire.text, "name": wire.text, "available": wire.flag, "features": wire.texts, "sizes": wire.texts}
SIZE = {
    **dict.fromkeys(("slug", "name"), wire.text),
    **dict.fromkeys(("memory", "vcpus", "disk"), wire.whole),
    **dict.fromkeys(("transfer", "price_monthly", "price_hourly"), number),
    "tier": wire.one_of("free", "starter", "pro"),
    "available": wire.flag,
    "regions": wire.texts,
    "allowed": wire.flag,
}
SMALL, MEDIUM, LARGE = "s-1vcpu-512mb-10gb", "s-1vcpu-1gb", "s-2vcpu-2gb"


@pytest.fixture
def client(ann: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(ann)


def read(client: APIClient, what: str) -> dict[str, dict[str, Any]]:
    rows = wire.decode(client.get(f"/api/v1/{what}"))
    for row in rows:
        wire.check(row, REGION if what.startswith("regions") else SIZE)
    return {row["slug"]: row for row in rows}


@pytest.mark.usefixtures("cloud")
def test_regions_and_sizes_have_their_shape(client: APIClient) -> None:
    regions, sizes = read(client, "regions/"), read(client, "sizes/")
    assert regions["nyc3"]["available"]
    assert not regions["nyc2"]["available"]
    assert "storage" in regions["nyc3"]["features"]
    assert [sizes[slug]["tier"] for slug in (SMALL, MEDIUM, LARGE)] == ["free", "starter", "pro"]
    assert (sizes[SMALL]["memory"], sizes[SMALL]["disk"], sizes[SMALL]["price_monthly"]) == (512, 10, 4.0)
    assert SMALL in read(client, "sizes?region=nyc3")
    assert SMALL not in read(client, "sizes?region=tor1")
    assert client.get("/api/v1/sizes?region=atlantis").json() == []
    assert client.get("/api/v1/sizes")["X-Total-Count"] == str(len(sizes))
    assert list(read(client, "sizes?limit=1&offset=1")) == [list(sizes)[1]]
    assert client.get("/api/v1/regions?envelope=true").json()["total"] == len(regions)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("plan", "allowed"),
    [
        ("free", {SMALL}),
        ("starter", {SMALL, MEDIUM}),
        ("pro", {SMALL, MEDIUM, LARGE}),
        ("admin", {SMALL, MEDIUM, LARGE}),
    ],
)
def test_allowed_is_by_plan(plan: str, allowed: set[str], sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    sizes = read(client_of(sign_up("pat", plan=plan)), "sizes")
    assert {slug for slug in (SMALL, MEDIUM, LARGE) if sizes[slug]["allowed"]} == allowed


@pytest.mark.parametrize("path", ["regions", "sizes", "clusters", "clusters/1", "clusters/1/health"])
def test_without_sign_in_nothing_is_shown(path: str) -> None:
    wire.check_refusal(APIClient().get(f"/api/v1/{path}"), 401, "not_authenticated")


@pytest.mark.parametrize("slash", ["", "/"])
def test_there_are_no_clusters(slash: str, client: APIClient) -> None:
    answer = client.get(f"/api/v1/clusters{slash}")
    assert (wire.decode(answer), answer["X-Total-Count"]) == ([], "0")
    for path in ("clusters/1", "clusters/1/health"):
        wire.check_refusal(client.get(f"/api/v1/{path}{slash}"), 404, "not_found")


@pytest.mark.parametrize("slash", ["", "/"])
def test_info_needs_no_sign_in(slash: str, settings: Any) -> None:
    settings.GOOGLE_CLIENT_IDS, settings.GOOGLE_WEB_CLIENT_ID = ["ios", "web"], "web"
    settings.PLANS = {**settings.PLANS, "pro": {**settings.PLANS["pro"], "max_environments": None}}
    info = wire.decode(APIClient().get(f"/api/v1/info{slash}"))
    features = "authentication google_oauth websockets rate_limiting metrics email_verification".split()
    limits = {f"{plan}_environments": wire.nullable(wire.whole) for plan in ("free", "starter", "pro")}
    wire.check(
        info,
        {
            **dict.fromkeys(("name", "version", "environment"), wire.text),
            "features": lambda value: wire.check(value, dict.fromkeys(features, wire.flag)),
            "google_web_client_id": wire.text,
            "limits": lambda value: wire.check(value, limits),
            "status_values": wire.texts,
            "phase_values": wire.texts,
            "timestamp": wire.time,
        },
    )
    assert info["limits"] == {"free_environments": 1, "starter_environments": 3, "pro_environments": None}
    assert info["features"]["metrics"] is True
    assert (info["features"]["google_oauth"], info["google_web_client_id"]) == (True, "web")
    settings.GOOGLE_WEB_CLIENT_ID = ""
    assert wire.decode(APIClient().get(f"/api/v1/info{slash}"))["google_web_client_id"] is None
    assert (len(info["status_values"]), len(info["phase_values"])) == (5, 12)


# --- Without the cloud


@pytest.fixture
def silence(localcloud: LocalCloud, settings: Any) -> Iterator[None]:
    """Nobody listens there."""
    settings.DO_API_URL = "http://127.0.0.1:1"
    cloudapi.forget_clients()
    yield
    cloudapi.forget_clients()


@pytest.mark.usefixtures("templates", "silence")
def test_an_environment_can_be_asked_for_without_the_cloud(client: APIClient) -> None:
    body = decode_environment(post(client, name="Env", template_id="ubuntu"))
    assert (body["phase"], body["region"], body["size"]) == ("creating", "nyc3", SMALL)
    row = Environment.objects.get()
    assert (row.memory_mb, row.vcpus, row.disk_gb) == (512, 1, 10)
    assert row.price_usd_per_hour == pytest.approx(4 / 672, abs=1e-5)


@pytest.mark.usefixtures("templates", "silence")
@pytest.mark.parametrize(
    ("fields", "status"),
    [({"size": MEDIUM}, 403), ({"size": "s-enormous"}, 422), ({"region": "nyc2"}, 422), ({"region": "fra1"}, 201)],
)
def test_its_rules_hold_without_the_cloud(fields: dict[str, str], status: int, client: APIClient) -> None:
    assert post(client, name="Env", template_id="ubuntu", **fields).status_code == status


def test_a_filter_by_region_knows_the_well_known_ones_before_the_cloud_was_asked(client: APIClient) -> None:
    for region, status in (("fra1", 200), ("atlantis", 422), ("", 422)):
        assert client.get(f"/api/v1/environments?region={region}").status_code == status


@pytest.mark.usefixtures("silence")
def test_the_well_known_ones_are_shown_but_not_kept(client: APIClient, localcloud: LocalCloud, settings: Any) -> None:
    assert set(read(client, "sizes")) == {SMALL, MEDIUM, LARGE}
    assert {"nyc1", "nyc3", "fra1", "sgp1"} <= set(read(client, "regions"))
    settings.DO_API_URL = localcloud.url  # it is back
    cloudapi.forget_clients()
    cache.delete(catalogue.SILENT)
    assert "s-4vcpu-8gb" in read(client, "sizes")
    assert "nyc2" in read(client, "regions")


def test_a_known_answer_outlives_the_cloud(client: APIClient, cloud: LocalCloud, settings: Any) -> None:
    sizes = read(client, "sizes")
    settings.DO_API_URL = "http://127.0.0.1:1"
    cloudapi.forget_clients()
    cache.delete("catalogue:sizes:fresh")  # an hour later
    assert read(client, "sizes") == sizes


def test_a_fresh_answer_costs_the_cloud_nothing(client: APIClient, cloud: LocalCloud) -> None:
    read(client, "sizes")
    read(client, "regions")
    before = len(cloud.requests_served())
    assert post(client, name="", template_id="x").status_code == 422
    read(client, "sizes")
    read(client, "regions")
    assert len(cloud.requests_served()) == before


def test_a_silent_cloud_is_not_asked_by_everybody(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Silent:
        def sizes(self) -> None:
            asked.append("sizes")
            raise CloudUnreachable("no answer")

        regions = sizes

    monkeypatch.setattr(cloudapi, "impatient_client", Silent)
    for what in ("sizes", "regions", "sizes"):
        assert read(client, what)
    assert asked == ["sizes"]
    cache.delete(catalogue.SILENT)  # half a minute later
    assert read(client, "regions")
    assert len(asked) == 2


@pytest.mark.usefixtures("templates")
def test_a_hanging_cloud_holds_up_one_create_and_not_for_long(client: APIClient, cloud: LocalCloud) -> None:
    cloud.misbehave("hang", path="/v2/")
    began = time.monotonic()
    assert post(client, name="Env", template_id="ubuntu").status_code == 201
    first_s, began = time.monotonic() - began, time.monotonic()
    assert client.get("/api/v1/sizes").status_code == 200
    assert first_s < 10  # contract T22
    assert time.monotonic() - began < 1
