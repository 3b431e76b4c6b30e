"""Snapshots over HTTP (contract 5.6). That the cloud makes them, test_life.py sees."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.lifecycle import AT_REST, Desired, Phase
from environments.models import Environment, Snapshot
from environments.tests.api import ENVIRONMENTS, SNAPSHOT, ClientOf, check_phase_refusal
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db

LIVE = [phase for phase in Phase if phase != Phase.TERMINATED]


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user, slug="home-123456", droplet_id=1)


@pytest.fixture
def client(ann: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(ann)


def path_of(home: Environment, snapshot: Snapshot | str | None = None) -> str:
    below = "" if snapshot is None else f"/{getattr(snapshot, 'pk', snapshot)}"
    return f"{ENVIRONMENTS}/{home.pk}/snapshots{below}"


def copy_of(home: Environment, **columns: Any) -> Snapshot:
    return Snapshot.objects.create(
        **{"environment": home, "name": "Copy", "region": "nyc3", "status": "available", **columns}
    )


def decode_snapshot(response: Any) -> dict[str, Any]:
    body = wire.decode(response)
    wire.check(body, SNAPSHOT)
    assert body["id"] == body["snapshot_id"]
    return dict(body)


@pytest.mark.parametrize("route", ["snapshot", "snapshot/", "snapshots", "snapshots/"])
@pytest.mark.parametrize("phase", LIVE)
def test_a_snapshot_is_made_at_rest(phase: Phase, route: str, home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=phase)
    answer = client.post(f"{ENVIRONMENTS}/{home.pk}/{route}")
    home.refresh_from_db()
    assert home.phase == phase
    if phase not in AT_REST:
        check_phase_refusal(answer)
        assert not Snapshot.objects.exists()
        return
    body = decode_snapshot(answer)
    assert answer.status_code == 201
    assert (body["status"], body["environment_id"], body["region"]) == ("pending", str(home.pk), "nyc3")
    assert (body["cloud_snapshot_id"], body["size_gb"], body["completed_at"]) == (None, None, None)
    assert body["name"].startswith("home-123456-20")
    assert answer["Location"] == f"{path_of(home)}/{body['id']}"
    assert decode_snapshot(client.get(answer["Location"])) == body
    assert [event.kind for event in home.events.all()] == ["snapshot_requested"]


def test_a_snapshot_may_have_a_name(home: Environment, client: APIClient) -> None:
    answer = client.post(path_of(home), **wire.body({"name": " Before the upgrade: $(x) "}))
    assert decode_snapshot(answer)["name"] == "Before the upgrade: $(x)"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "blank"),
        ("x" * 101, "max_length"),
        ("a\0b", "invalid"),
        ("<b>", "invalid"),
        (["x"], "invalid"),
        (5, "invalid"),
        (True, "invalid"),
        ("a\u200bb", "invalid"),
        ("\ud800", "invalid"),
    ],
)
def test_a_bad_name_is_refused(name: Any, code: str, home: Environment, client: APIClient) -> None:
    assert wire.field_codes(client.post(path_of(home), **wire.body({"name": name}))) == {"name": code}
    assert not Snapshot.objects.exists()


def test_one_at_a_time(home: Environment, client: APIClient) -> None:
    assert client.post(path_of(home), **wire.body({"name": None})).status_code == 201
    wire.check_refusal(client.post(path_of(home)), 409, "snapshot_in_progress")
    Snapshot.objects.update(status="error")
    assert client.post(path_of(home)).status_code == 201


def test_one_that_was_deleted_before_it_was_there_is_waited_for(home: Environment, client: APIClient) -> None:
    made = client.post(path_of(home))
    assert "is being made" in client.post(path_of(home)).json()["detail"]
    assert client.delete(made["Location"]).status_code == 204
    assert client.get(path_of(home)).json() == []
    refusal = wire.check_refusal(client.post(path_of(home)), 409, "snapshot_in_progress")
    assert "that you deleted" in refusal["detail"]


def test_an_environment_has_so_many_and_no_more(home: Environment, client: APIClient, settings: Any) -> None:
    settings.MAX_SNAPSHOTS = 2
    kept = copy_of(home)
    for uncounted in ({"status": "error"}, {"deleted_at": timezone.now()}, {"kind": Snapshot.Kind.HIBERNATION}):
        copy_of(home, **uncounted)
    assert client.post(path_of(home)).status_code == 201
    Snapshot.objects.filter(status="pending").update(status="available")
    answer = client.post(path_of(home))
    check_phase_refusal(answer)
    refusal = wire.decode(answer)
    assert refusal["detail"] == "An environment may have 2 snapshots. Delete one to make another."
    assert (refusal["context"]["limit"], refusal["context"]["current"]) == (2, 2)
    assert Snapshot.objects.count() == 5
    client.delete(path_of(home, kept))
    assert client.post(path_of(home)).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_one(ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    codes = in_parallel(lambda number: client_of(ann).post(path_of(home)).status_code, count=4)
    assert sorted(codes) == [201, 409, 409, 409]
    assert home.events.filter(kind="snapshot_requested").count() == Snapshot.objects.count() == 1


def test_the_list_shows_what_its_owner_made(home: Environment, client: APIClient) -> None:
    first = copy_of(home, name="First", size_gb=2.5, cloud_snapshot_id="77", completed_at=timezone.now())
    copy_of(home, name="Hidden", kind=Snapshot.Kind.HIBERNATION)
    copy_of(home, name="Unwanted", deleted_at=timezone.now())
    copy_of(home, name="Broken", status="error")
    answer = client.get(f"{path_of(home)}/")
    for snapshot in wire.decode(answer):
        wire.check(snapshot, SNAPSHOT)
    assert [(one["name"], one["status"]) for one in answer.json()] == [("Broken", "error"), ("First", "available")]
    assert answer["X-Total-Count"] == "2"
    assert [one["name"] for one in client.get(f"{path_of(home)}?limit=1&offset=1").json()] == ["First"]
    wrapped = client.get(f"{path_of(home)}?envelope=true").json()
    assert (len(wrapped["snapshots"]), wrapped["total"], wrapped["has_more"]) == (2, 2, False)
    shown = decode_snapshot(client.get(path_of(home, first)))
    assert (shown["cloud_snapshot_id"], shown["size_gb"]) == ("77", 2.5)


@pytest.mark.parametrize("phase", LIVE)
def test_a_snapshot_is_deleted_in_every_phase(phase: Phase, home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=phase)
    snapshot = copy_of(home)
    answer = client.delete(f"{path_of(home, snapshot)}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert Snapshot.objects.get().deleted_at is not None  # the row goes when the cloud confirms
    assert client.get(path_of(home)).json() == []
    for again in (client.get(path_of(home, snapshot)), client.delete(path_of(home, snapshot))):
        wire.check_refusal(again, 404, "not_found")
    wire.check_refusal(client.post(f"{path_of(home, snapshot)}/restore"), 404, "not_found")
    assert [event.kind for event in home.events.all()] == ["snapshot_delete_requested"]


@pytest.mark.parametrize("phase", LIVE)
def test_a_restore_begins_at_rest(phase: Phase, home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=phase)
    snapshot = copy_of(home)
    answer = client.post(f"{path_of(home, snapshot)}/restore/")
    home.refresh_from_db()
    if phase not in AT_REST:
        check_phase_refusal(answer)
        assert (home.phase, home.restore_from) == (phase, None)
        return
    wire.check(wire.decode(answer), dict.fromkeys(("message", "status", "phase"), wire.text))
    assert (answer.status_code, answer.json()["status"], answer.json()["phase"]) == (200, "creating", "restarting")
    assert (home.phase, home.restore_from, home.desired_state) == (Phase.RESTARTING, snapshot, Desired.RUNNING)
    check_phase_refusal(client.post(f"{path_of(home, snapshot)}/restore"))
    assert [event.kind for event in home.events.all()] == ["restore_requested"]


def test_a_restore_answers_with_the_full_status_too(home: Environment, client: APIClient) -> None:
    answer = client.post(f"{path_of(home, copy_of(home))}/restore?status_format=full")
    assert answer.json()["status"] == "restarting"


@pytest.mark.parametrize("status", ["pending", "error"])
def test_only_what_is_there_is_restored(status: str, home: Environment, client: APIClient) -> None:
    check_phase_refusal(client.post(f"{path_of(home, copy_of(home, status=status))}/restore"))


def test_a_hibernated_one_has_no_disk_to_copy_or_put_back(home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=Phase.STOPPED, desired_state=Desired.HIBERNATED, droplet_id=None)
    check_phase_refusal(client.post(path_of(home)))
    check_phase_refusal(client.post(f"{path_of(home, copy_of(home))}/restore"))


@pytest.mark.parametrize(("method", "below"), [("get", ""), ("delete", ""), ("post", "/restore"), ("options", "")])
def test_a_snapshot_is_known_by_its_own_environment_only(
    method: str, below: str, home: Environment, ben: SignIn, client: APIClient, client_of: ClientOf
) -> None:
    snapshot, hidden = copy_of(home), copy_of(home, kind=Snapshot.Kind.HIBERNATION)
    bens = home_of(ben.user, name="Ben's")
    calls = [(client, home, hidden.pk), *((client, home, unknown) for unknown in (uuid.uuid4(), "1", "%00", bens.pk))]
    for who, where, unknown in [*calls, (client_of(ben), bens, snapshot.pk), (client_of(ben), home, snapshot.pk)]:
        answer = getattr(who, method)(f"{path_of(where, str(unknown))}{below}")
        wire.check_refusal(answer, 404, "not_found")
    assert Snapshot.objects.filter(deleted_at=None).count() == 2
