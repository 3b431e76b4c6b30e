"""The admin of environments: what operators see, what they do, and what it leaves behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from environments.lifecycle import Desired, Phase
from environments.models import CloudReport, Environment, IdempotencyKey, Snapshot
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db

LIST = "environments_environment_changelist"
MODELS = ["environment", "environmentevent", "snapshot", "cloudreport"]


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", "boss@example.org", PASSWORD)


@pytest.fixture
def desk(boss: User) -> Client:
    """The operator's browser."""
    client = Client()
    client.force_login(boss, backend="accounts.backends.LockoutBackend")
    return client


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(
        ann.user,
        droplet_id=4711,
        volume_id="0a1b2c3d-0815-4711-8000-0123456789ab",
        environment_variables={"TOKEN": "hidden-value"},
        password_hash="$6$hidden-hash",
        host_private_key="hidden-key",
        host_public_key="ssh-ed25519 shown",
    )


def page(desk: Client, name: str, *args: Any, **query: str) -> str:
    response = desk.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def act(desk: Client, action: str, *rows: Environment, **more: str) -> str:
    """What the operator sees after it."""
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    response = desk.post(reverse(f"admin:{LIST}"), data, follow=True)
    assert response.status_code == 200
    return str(response.content.decode())


def logged(row: Environment) -> list[str]:
    entries = LogEntry.objects.filter(object_id=str(row.pk))
    assert {entry.user.username for entry in entries} <= {"boss"}
    return [entry.get_change_message() for entry in entries]


def time_line(row: Environment) -> list[tuple[str, str | None]]:
    return [(event.kind, event.actor and event.actor.username) for event in row.events.select_related("actor")]


# --- What they see


def test_the_time_line_is_on_the_page_newest_last_with_the_clouds_request_id(desk: Client, home: Environment) -> None:
    now = timezone.now()
    for age, kind, request_id in ((1, "newer_one", "req-new"), (2, "older_one", "req-old")):
        home.events.create(kind=kind, phase=Phase.RUNNING, at=now - timedelta(minutes=age), cloud_request_id=request_id)
    shown = page(desk, "environments_environment_change", home.pk)
    assert shown.index("older_one") < shown.index("newer_one")
    assert "req-old" in shown
    for cloud_id in ("4711", "0a1b2c3d-0815-4711-8000-0123456789ab", "127.0.0.1"):
        assert cloud_id in shown
    assert "newer_one" in page(desk, "environments_environmentevent_changelist", q="req-new")
    request_id = str(uuid.uuid4())  # as the cloud's are
    home.events.create(kind="third_one", phase=Phase.RUNNING, cloud_request_id=request_id)
    assert "third_one" in page(desk, "environments_environmentevent_changelist", q=request_id)


@pytest.mark.parametrize("model", MODELS)
def test_lists_can_be_read_and_searched(model: str, desk: Client, home: Environment) -> None:
    Snapshot.objects.create(environment=home, name="Copy", region="nyc3")
    CloudReport.objects.create(seen=3)
    home.events.create(kind="phase_changed", phase=Phase.RUNNING)
    name = f"environments_{model}_changelist"
    assert "0 results" not in page(desk, name)
    if model != "cloudreport":
        assert "0 results" not in page(desk, name, q="Home")
        assert "0 results" in page(desk, name, q="nothing-of-this-name")


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"installation_completed": True}, "complete"),
        ({"installation_completed": False, "install_percent": 64}, "64 %"),
        ({"installation_completed": False, "install_percent": 64, "install_error": "No Docker"}, "incomplete"),
    ],
)
def test_how_far_a_set_up_is_can_be_seen(columns: dict[str, Any], shown: str, desk: Client, home: Environment) -> None:
    Environment.objects.update(**columns)
    assert f'class="field-set_up">{shown}<' in page(desk, LIST)
    single = page(desk, "environments_environment_change", home.pk)
    assert "install_percent" in single
    assert columns.get("install_error", "") in single


def test_the_page_of_one_takes_no_query_an_event(desk: Client, home: Environment, ann: SignIn) -> None:
    home.events.create(kind="x", phase=Phase.RUNNING, actor=ann.user)
    page(desk, "environments_environment_change", home.pk)  # content types are remembered
    with CaptureQueriesContext(connection) as few:
        page(desk, "environments_environment_change", home.pk)
    for _ in range(5):
        home.events.create(kind="x", phase=Phase.RUNNING, actor=ann.user)
    with CaptureQueriesContext(connection) as many:
        page(desk, "environments_environment_change", home.pk)
    assert len(many) == len(few)


def test_a_user_leads_to_their_environments_and_back(desk: Client, home: Environment, ben: SignIn) -> None:
    home_of(ben.user, name="Not hers")
    target = f"{reverse(f'admin:{LIST}')}?owner__id__exact={home.owner_id}"
    assert target in page(desk, "accounts_user_changelist")
    assert target in page(desk, "accounts_user_change", home.owner_id)
    hers = page(desk, LIST, owner__id__exact=str(home.owner_id))
    assert "Home" in hers
    assert "Not hers" not in hers
    assert reverse("admin:accounts_user_change", args=[home.owner_id]) in hers


def test_what_the_reaper_found_can_be_read(desk: Client) -> None:
    found = [
        {"kind": "droplet", "id": "77", "name": "dp-env-<1>", "environment": "e", "reason": "gone", "deleted": True},
        {"kind": "volume", "id": "vol-2", "name": "x", "environment": None, "reason": "unknown", "deleted": False},
    ]
    report = CloudReport.objects.create(found=found, seen=5, deletes=True)
    shown = page(desk, "environments_cloudreport_change", report.pk)
    for cell in ("77", "dp-env-&lt;1&gt;", "gone", "yes", "vol-2", "-"):
        assert f"<td>{cell}</td>" in shown
    empty = CloudReport.objects.create(error="The cloud didn't answer.")
    assert "nothing" in page(desk, "environments_cloudreport_change", empty.pk)


def test_secrets_are_on_no_page(desk: Client, home: Environment, ann: SignIn) -> None:
    snapshot = Snapshot.objects.create(environment=home, name="Copy", region="nyc3")
    event = home.events.create(kind="x", phase=Phase.RUNNING)
    report = CloudReport.objects.create()
    IdempotencyKey.objects.create(user=ann.user, key="hidden-idem", environment=home, answer={"a": "hidden-answer"})
    act(desk, "stop", home)
    pages = page(desk, "index") + act(desk, "destroy", home)
    for model, row in zip(MODELS, (home, event, snapshot, report), strict=True):
        pages += page(desk, f"environments_{model}_changelist")
        pages += page(desk, f"environments_{model}_change", row.pk) + page(
            desk, f"environments_{model}_history", row.pk
        )
    assert [word for word in ("value", "hash", "key", "idem", "answer") if f"hidden-{word}" in pages] == []


@pytest.mark.parametrize("model", ["idempotencykey", "metricsample"])
def test_tables_for_no_eyes_have_no_page(model: str, desk: Client) -> None:
    assert desk.get(f"/admin/environments/{model}/").status_code == 404


def test_nothing_is_added_changed_or_deleted_by_hand(desk: Client, home: Environment) -> None:
    rows: dict[str, Any] = {
        "environment": home,
        "environmentevent": home.events.create(kind="x", phase=Phase.RUNNING),
        "snapshot": Snapshot.objects.create(environment=home, name="Copy", region="nyc3"),
        "cloudreport": CloudReport.objects.create(),
    }
    for model, row in rows.items():
        assert desk.get(reverse(f"admin:environments_{model}_add")).status_code == 403
        for what in ("change", "delete"):
            url = reverse(f"admin:environments_{model}_{what}", args=[row.pk])
            assert desk.post(url, {"post": "yes", "name": "New"}).status_code == 403
        assert type(row).objects.filter(pk=row.pk).exists()
    assert "delete_selected" not in page(desk, LIST)
    home.refresh_from_db()
    assert home.name == "Home"


# --- What they do


@pytest.mark.parametrize(
    ("action", "phase", "following", "told"),
    [
        ("start", Phase.STOPPED, Phase.STARTING, "Started"),
        ("stop", Phase.RUNNING, Phase.STOPPING, "Stopped"),
        ("restart", Phase.RUNNING, Phase.RESTARTING, "Restarted"),
        ("recover", Phase.ERROR, Phase.CREATING, "Recovered"),
        ("hibernate", Phase.RUNNING, Phase.STOPPING, "Hibernated"),
    ],
)
def test_actions_are_told_logged_and_in_the_time_line(
    action: str, phase: Phase, following: Phase, told: str, desk: Client, home: Environment
) -> None:
    Environment.objects.update(phase=phase)
    assert f"{told}: 1 environment(s)" in act(desk, action, home)
    home.refresh_from_db()
    assert home.phase == following
    assert time_line(home) == [(f"{action}_requested", "boss")]
    assert home.events.get().message == "By an operator"
    assert logged(home) == [told]
    if action == "stop":
        assert home.last_stop_reason == "admin"


def test_a_refusal_is_told_and_stops_none_of_the_others(desk: Client, home: Environment, ben: SignIn) -> None:
    other = home_of(ben.user, name="Other", phase=Phase.INSTALLING)
    shown = act(desk, "stop", home, other)
    assert "Other: This environment can&#x27;t stop now. It is installing now." in shown
    assert "Stopped: 1 environment(s)" in shown
    assert (logged(home), logged(other)) == (["Stopped"], [])
    other.refresh_from_db()
    assert other.phase == Phase.INSTALLING


def test_deleting_asks_first(desk: Client, home: Environment, ben: SignIn) -> None:
    other = home_of(ben.user, name="Other")
    asked = act(desk, "destroy", home, other)
    assert "Yes, delete them" in asked
    assert "Home of ann (running, 127.0.0.1)" in asked
    assert "Other of ben" in asked
    home.refresh_from_db()
    assert (home.phase, logged(home)) == (Phase.RUNNING, [])
    assert "Deleted: 1 environment(s)" in act(desk, "destroy", home, post="yes")
    home.refresh_from_db()
    other.refresh_from_db()
    assert (home.phase, home.desired_state, other.phase) == (Phase.TERMINATED, Desired.DELETED, Phase.RUNNING)
    assert (time_line(home), logged(home)) == ([("delete_requested", "boss")], ["Deleted"])
    assert "There is no such environment." in act(desk, "destroy", home, post="yes")  # again


@pytest.mark.parametrize("phase", [Phase.INSTALLING, Phase.TERMINATED])
def test_a_lease_is_taken_over(phase: Phase, desk: Client, home: Environment) -> None:
    busy = {"lease_owner": "server-7", "lease_until": timezone.now() + timedelta(minutes=5), "failed_steps": 9}
    Environment.objects.update(phase=phase, next_step_at=None, **busy)
    assert "Lease taken over: 1 environment(s)" in act(desk, "take_over", home)
    home.refresh_from_db()
    assert (home.lease_owner, home.lease_until, home.failed_steps, home.phase) == ("", None, 0, phase)
    assert home.next_step_at is not None
    assert time_line(home) == [("lease_taken", "boss")]
    assert home.events.get().message == ""  # its owner sees this: no word of our servers
    assert logged(home) == ["Lease taken over"]


def test_what_is_gone_for_good_has_no_lease(desk: Client, home: Environment) -> None:
    Environment.objects.update(phase=Phase.TERMINATED, torn_down_at=timezone.now(), next_step_at=None)
    assert "There is no such environment." in act(desk, "take_over", home)
    assert Environment.objects.get().next_step_at is None


def test_staff_that_may_only_look_can_do_nothing(home: Environment, sign_up: Callable[..., SignIn]) -> None:
    looker = sign_up("looker", is_staff=True).user
    looker.user_permissions.add(Permission.objects.get(codename="view_environment"))
    client = Client()
    client.force_login(looker, backend="accounts.backends.LockoutBackend")
    assert "Home" in page(client, LIST)
    act(client, "stop", home)
    act(client, "destroy", home, post="yes")
    home.refresh_from_db()
    assert home.phase == Phase.RUNNING
    looker.user_permissions.add(Permission.objects.get(codename="change_environment"))
    assert "Stopped: 1 environment(s)" in act(client, "stop", home)


def test_without_signing_in_there_is_nothing(home: Environment, ann: SignIn) -> None:
    client = Client()
    for _ in range(2):
        assert client.get(reverse(f"admin:{LIST}"))["Location"].startswith("/admin/login/")
        client.force_login(ann.user, backend="accounts.backends.LockoutBackend")  # who is no staff
