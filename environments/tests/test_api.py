"""Environments over HTTP: shapes, owners, routes, lists (contract section 5)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from environments.lifecycle import Desired, Phase
from environments.models import Environment, Snapshot
from environments.tests.api import (
    ENVIRONMENT,
    ENVIRONMENTS,
    EVENT,
    ROUTES,
    ClientOf,
    decode_environment,
    post,
)
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user, name="Home")


def snapshot_of(environment: Environment, **columns: Any) -> Snapshot:
    return Snapshot.objects.create(**{"environment": environment, "name": "Copy", "region": "nyc3", **columns})


# --- The object


@pytest.mark.usefixtures("templates", "cloud")
def test_create_answers_with_the_whole_object(ann: SignIn, client_of: ClientOf) -> None:
    fields = {"name": "  My Project ", "template_id": "python", "resource_limits": None, "environment_variables": None}
    answer = client_of(ann).post(f"{ENVIRONMENTS}/", fields, format="json")
    assert answer.status_code == 201, answer.content
    body = decode_environment(answer)
    assert (body["name"], body["status"], body["phase"], body["progress"]) == ("My Project", "creating", "creating", 0)
    assert body["slug"] == f"my-project-{body['id'][:6]}"
    assert body["resources"] == {"cpu": "1000m", "memory": "512Mi", "storage": "20Gi"}
    assert body["resource_limits"] == {**body["resources"], "max_instances": None}
    assert body["billing"] == {"state": "none", "usd_per_hour": 0, "usd_month_to_date": 0, "note": None}
    assert answer["Location"] == f"{ENVIRONMENTS}/{body['id']}"


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"installation_completed": False},
            {"completed": False, "progress": 0, "phase": None, "message": None, "error": None},
        ),
        (
            {
                "installation_completed": False,
                "install_percent": 64,
                "install_phase": "development_tools",
                "install_message": "Installing Node.js",
                "install_error": "Node.js is missing",
            },
            {
                "completed": False,
                "progress": 64,
                "phase": "development_tools",
                "message": "Installing Node.js",
                "error": "Node.js is missing",
            },
        ),
        # As the release before left it.
        ({}, {"completed": True, "progress": 100, "phase": None, "message": None, "error": None}),
    ],
)
def test_the_set_up_is_told(
    columns: dict[str, Any], told: dict[str, Any], home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    Environment.objects.update(**columns)
    body = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))
    assert (body["installation"], body["installation_completed"]) == (told, told["completed"])
    assert body["status"] == "running"


@pytest.mark.usefixtures("templates", "cloud")
def test_list_get_create_put_and_patch_give_one_shape(ann: SignIn, client_of: ClientOf) -> None:
    client = client_of(ann)
    created = decode_environment(post(client, name="One", template_id="ubuntu"))
    path = f"{ENVIRONMENTS}/{created['id']}"
    [listed] = client.get(f"{ENVIRONMENTS}/").json()
    got = [decode_environment(answer) for answer in (client.get(path), client.put(path), client.patch(path))]
    assert [listed, *got] == [created] * 4


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_status_that_phones_know(
    phase: Phase, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    error = {"error_code": "x", "error_message": "y", "error_phase": "running", "error_at": timezone.now()}
    Environment.objects.update(phase=phase, **(error if phase == Phase.ERROR else {}))
    client = client_of(ann)
    [body] = wire.decode(client.get(f"{ENVIRONMENTS}?include_terminated=true"))
    wire.check(body, ENVIRONMENT)
    assert (body["error"] is not None) == (phase == Phase.ERROR)
    for asked in (
        client.get(f"{ENVIRONMENTS}?include_terminated=1", headers={"X-DevPocket-Status": "full"}),
        client.get(f"{ENVIRONMENTS}?include_terminated=1&status_format=full"),
    ):
        assert [row["status"] for row in wire.decode(asked)] == [phase]
        assert "X-DevPocket-Status" in asked["Vary"]


def test_usage_is_told_while_it_runs(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(cpu_percent=12.5, memory_percent=30.0, storage_percent=7.0)
    names = ("cpu_usage", "memory_usage", "storage_usage")
    running = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))
    assert [running[name] for name in names] == [12.5, 30.0, 7.0]
    Environment.objects.update(phase=Phase.STOPPED)
    stopped = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))
    assert [stopped[name] for name in names] == [None] * 3


def test_what_is_paid_for_is_told(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(
        phase=Phase.STOPPED,
        droplet_id=1,
        billing_usd_per_hour=0.01,
        billing_since=timezone.now(),
        billing_month_usd=2.0,
    )
    billing = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))["billing"]
    assert (billing["state"], billing["usd_per_hour"]) == ("powered_off", 0.01)
    assert billing["usd_month_to_date"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("is_down", [True, False])
def test_hibernated_is_told_apart_from_stopped(
    is_down: bool, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    Environment.objects.update(
        desired_state=Desired.HIBERNATED,
        phase=Phase.STOPPED if is_down else Phase.STOPPING,
        last_stop_reason="hibernate",
    )
    body = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))
    assert (body["hibernated"], body["status"], body["last_stop_reason"]) == (is_down, "stopped", "hibernate")


def test_when_it_is_stopped_for_being_idle_is_told(
    home: Environment, ann: SignIn, client_of: ClientOf, settings: Any
) -> None:
    def shown() -> str | None:
        stop_at = decode_environment(client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}"))["idle_stop_at"]
        assert stop_at is None or type(stop_at) is str
        return stop_at

    assert shown() is None
    settings.PLANS = {**settings.PLANS, "free": {**settings.PLANS["free"], "idle_stop_minutes": 30}}
    began, used = datetime(2030, 1, 1, 10, 0, tzinfo=UTC), datetime(2030, 1, 1, 11, 0, tzinfo=UTC)
    Environment.objects.update(phase_changed_at=began)
    assert shown() == "2030-01-01T10:30:00Z"
    Environment.objects.update(busy_at=used, last_activity_at=used - timedelta(minutes=1))
    assert shown() == "2030-01-01T11:30:00Z"
    Environment.objects.update(idle_extended_until=used + timedelta(hours=2))
    assert shown() == "2030-01-01T13:00:00Z"
    Environment.objects.update(phase=Phase.STOPPED)
    assert shown() is None


# --- Whose it is, and by which routes


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("options", ""), ("head", ""), ("options", "/snapshots/{sid}")])
def test_somebody_elses_environment_is_not_there(
    method: str, path: str, home: Environment, ann: SignIn, ben: SignIn, client_of: ClientOf
) -> None:
    snapshot = snapshot_of(home, status="available")
    before = Environment.objects.values().get()
    for unknown in (home.pk, uuid.uuid4(), "1", "none", "%00", "x" * 300):
        answer = getattr(client_of(ben), method)(f"{ENVIRONMENTS}/{unknown}{path.format(sid=snapshot.pk)}")
        assert answer.status_code == 404
        if method != "head":
            wire.check_refusal(answer, 404, "not_found")
    assert client_of(ben).get(ENVIRONMENTS).json() == []
    assert Environment.objects.values().get() == before
    assert Snapshot.objects.get().deleted_at is None


@pytest.mark.parametrize("path", ["/events", "/snapshots"])
def test_whose_it_is_comes_before_what_is_asked(
    path: str, home: Environment, ann: SignIn, ben: SignIn, client_of: ClientOf
) -> None:
    for query in ("limit=0", "offset=-1", "limit=x&envelope=true"):
        for unknown in (home.pk, uuid.uuid4(), "1"):
            answer = client_of(ben).get(f"{ENVIRONMENTS}/{unknown}{path}?{query}")
            wire.check_refusal(answer, 404, "not_found")
        assert client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}{path}?{query}").status_code == 422


@pytest.mark.parametrize(("method", "path"), [("get", None), ("post", None), *ROUTES])
def test_without_sign_in_nothing_is_shown(method: str, path: str | None) -> None:
    target = ENVIRONMENTS if path is None else f"{ENVIRONMENTS}/{uuid.uuid4()}{path.format(sid=uuid.uuid4())}"
    wire.check_refusal(getattr(APIClient(), method)(target), 401, "not_authenticated")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_after_deletion_every_route_is_404(
    method: str, path: str, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    client, snapshot = client_of(ann), snapshot_of(home, status="available")
    assert client.delete(f"{ENVIRONMENTS}/{home.pk}").status_code == 204
    answer = getattr(client, method)(f"{ENVIRONMENTS}/{home.pk}{path.format(sid=snapshot.pk)}")
    wire.check_refusal(answer, 404, "not_found")
    assert client.get(ENVIRONMENTS).json() == []
    assert [row["status"] for row in client.get(f"{ENVIRONMENTS}?status=terminated").json()] == ["terminated"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_answers_with_and_without_slash(
    method: str, path: str, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    client = client_of(ann)
    codes = []
    for slash in ("", "/"):
        Environment.objects.update(phase=Phase.ERROR if path == "/recover" else Phase.RUNNING)
        Snapshot.objects.all().delete()
        snapshot = snapshot_of(home, status="available")
        target = f"{ENVIRONMENTS}/{home.pk}{path.format(sid=snapshot.pk)}{slash}"
        codes.append(getattr(client, method)(target).status_code)
    expected = {"/resize": 422, "/extend": 409, "/snapshot": 201}.get(path, 204 if method == "delete" else 200)
    expected = 201 if (method, path) == ("post", "/snapshots") else expected
    assert codes == [expected, expected]


def test_head_is_get_without_a_body_and_options_tells_the_methods(
    home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    client, one = client_of(ann), f"{ENVIRONMENTS}/{home.pk}"
    for path in (ENVIRONMENTS, one, f"{one}/events", f"{one}/snapshots", "/api/v1/regions", "/api/v1/sizes"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    methods = {ENVIRONMENTS: "GET POST", one: "GET PUT PATCH DELETE", f"{one}/start": "POST"}
    for path, expected in methods.items():
        answer = client.options(path)
        assert answer.status_code == 200
        assert set(expected.split()) <= set(answer["Allow"].replace(" ", "").split(","))
    wire.check_refusal(client.get(f"{one}/start"), 405, "method_not_allowed")


# --- Lists


@pytest.mark.usefixtures("templates")
def test_list_filters_and_pages(sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    signed_in = sign_up("max", plan="admin", is_verified=True)
    client = client_of(signed_in)
    for number in range(5):
        home_of(
            signed_in.user,
            name=f"E{number}",
            template_id="python" if number % 2 else "ubuntu",
            phase=Phase.STOPPING if number == 0 else Phase.INSTALLING,
            region="fra1" if number == 4 else "nyc3",
        )

    def names(query: str) -> list[str]:
        return [row["name"] for row in client.get(f"{ENVIRONMENTS}?{query}").json()]

    assert names("status=stopped") == names("status_filter=stopping") == ["E0"]
    assert names("status=creating,stopping") == names("") == ["E4", "E3", "E2", "E1", "E0"]
    assert names("template_id=Python") == ["E3", "E1"]
    assert names("region=fra1") == names("search=e4") == ["E4"]
    assert names("status=running") == names("region=lon1") == []
    page = client.get(f"{ENVIRONMENTS}?limit=2&offset=2")
    assert [row["name"] for row in page.json()] == ["E2", "E1"]
    assert page["X-Total-Count"] == "5"
    assert all(f'rel="{rel}"' in page["Link"] for rel in ("first", "prev", "next", "last"))
    wrapped = client.get(f"{ENVIRONMENTS}?envelope=true&limit=2").json()
    assert {**wrapped, "environments": len(wrapped["environments"])} == {
        "environments": 2,
        "total": 5,
        "limit": 2,
        "offset": 0,
        "has_more": True,
    }


def test_a_hundred_environments_cost_no_more_queries_than_one(
    sign_up: Callable[..., SignIn], client_of: ClientOf, django_assert_num_queries: Any
) -> None:
    signed_in = sign_up("max", plan="admin", is_verified=True)
    home_of(signed_in.user, name="E0")
    client = client_of(signed_in)
    with django_assert_num_queries(2):  # the session with its user, and the page, which is all
        assert len(client.get(ENVIRONMENTS).json()) == 1
    [first] = Environment.objects.all()
    fields = {field.attname: getattr(first, field.attname) for field in Environment._meta.fields}
    Environment.objects.bulk_create(
        Environment(**{**fields, "id": uuid.uuid4(), "name": f"E{number}"}) for number in range(1, 100)
    )
    with django_assert_num_queries(3):  # there may be more: the count
        assert len(client.get(ENVIRONMENTS).json()) == 100


@pytest.mark.parametrize("path", [f"{ENVIRONMENTS}/{{}}", "/api/v1/auth/me"])
def test_what_is_asked_most_costs_one_query_beside_the_session(
    ann: SignIn, home: Environment, client_of: ClientOf, path: str, django_assert_num_queries: Any
) -> None:
    client = client_of(ann)
    with django_assert_num_queries(2):
        assert client.get(path.format(home.pk)).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nonsense", "status"),
        ("status=", "status"),
        ("status=running,", "status"),
        ("template_id=nonsense", "template_id"),
        ("template_id=%00", "template_id"),
        ("region=%00", "region"),
        ("include_terminated=perhaps", "include_terminated"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("limit=", "limit"),
    ],
)
def test_a_filter_that_means_nothing_is_told(query: str, field: str, ann: SignIn, client_of: ClientOf) -> None:
    assert list(wire.field_codes(client_of(ann).get(f"{ENVIRONMENTS}?{query}"))) == [field]


@pytest.mark.parametrize("search", ["%25", "_", "'; --", "%00", "Ho%00me", "\\", "%F0%9F%98%80", "%FF"])
def test_a_search_is_taken_as_it_is(search: str, home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    answer = client_of(ann).get(f"{ENVIRONMENTS}?search={search}")
    assert wire.decode(answer) == []


# --- What happened


def test_the_time_line_is_told_oldest_first(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    client = client_of(ann)
    path = f"{ENVIRONMENTS}/{home.pk}"
    client.post(f"{path}/stop")
    home.events.create(kind="phase_changed", phase=Phase.STOPPED, cloud_request_id="req-1")
    Environment.objects.update(phase=Phase.STOPPED)
    client.post(f"{path}/start")
    answer = client.get(f"{path}/events/")
    events = wire.decode(answer)
    for event in events:
        wire.check(event, EVENT)
    ours = {"actor": "ann", "actor_id": str(ann.user.pk), "cloud_request_id": None}
    nobodys = {"actor": None, "actor_id": None, "cloud_request_id": "req-1"}
    assert [(event["kind"], {key: event[key] for key in ours}) for event in events] == [
        ("stop_requested", ours),
        ("phase_changed", nobodys),
        ("start_requested", ours),
    ]
    assert answer["X-Total-Count"] == "3"
    assert [event["kind"] for event in client.get(f"{path}/events?limit=1&offset=1").json()] == ["phase_changed"]
    assert client.get(f"{path}/events?envelope=1").json()["total"] == 3


def test_which_of_us_did_something_is_not_told(
    home: Environment, ann: SignIn, client_of: ClientOf, sign_up: Callable[..., SignIn]
) -> None:
    boss = sign_up("boss", is_staff=True)
    for actor in (ann.user, boss.user, None):
        home.events.create(kind="x", phase=Phase.RUNNING, actor=actor)
    answer = client_of(ann).get(f"{ENVIRONMENTS}/{home.pk}/events")
    assert [(event["actor"], event["actor_id"]) for event in wire.decode(answer)] == [
        ("ann", str(ann.user.pk)),
        ("operator", None),
        (None, None),
    ]
    assert "boss" not in answer.content.decode()
    assert str(boss.user.pk) not in answer.content.decode()
