"""/users/me, its stats and its sessions (contract 4.1 to 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Session, User
from accounts.services import Device, SignIn, user_login
from accounts.tests.rows import environment
from conftest import PASSWORD
from devpocket import nudges
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.cloud import Region
from environments.lifecycle import Phase

ME = "/api/v1/users/me"
USER = wire.USER | wire.CAMEL_USER


@pytest.fixture
def client(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(ann)


def change(client: APIClient, method: str = "patch", **fields: Any) -> Response:
    return getattr(client, method)(ME, **wire.body(fields))


# --- The profile


def test_me_is_the_user_flat(ann: SignIn, client: APIClient) -> None:
    environment(ann)
    body = wire.decode(client.get(ME))
    wire.check(body, USER)
    assert (body["id"], body["environment_count"]) == (str(ann.user.pk), 1)
    assert client.head(ME).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch"])
def test_each_field_may_be_changed_and_the_others_stay(method: str, client: APIClient) -> None:
    wanted: dict[str, Any] = {
        "full_name": "Ann Lee",
        "username": "Ann-Lee_2",
        "avatar_url": "https://example.org/ann.png?size=64",
        "preferred_region": "nyc3",
        "record_terminals": True,
    }
    before = wire.decode(client.get(ME))
    for name, value in wanted.items():
        response = change(client, method, **{name: value})
        assert response.status_code == 200
        body = wire.decode(response)
        wire.check(body, USER)
        assert body[name] == value
    after = wire.decode(client.get(ME))
    assert {name: after[name] for name in wanted} == wanted
    assert after["fullName"] == "Ann Lee"
    assert after["updated_at"] > before["updated_at"]
    assert (after["email"], after["created_at"]) == (before["email"], before["created_at"])


@pytest.mark.parametrize("name", ["full_name", "avatar_url", "preferred_region"])
def test_null_empties_a_field(name: str, client: APIClient) -> None:
    User.objects.update(full_name="Ann", avatar_url="https://example.org/a", preferred_region="nyc3")
    assert wire.decode(change(client, **{name: None}))[name] is None


def test_camel_case_spellings_work_and_an_empty_name_is_none(client: APIClient) -> None:
    body = wire.decode(change(client, fullName="Ann", avatarUrl="http://example.org/a", preferredRegion="sfo3"))
    assert (body["full_name"], body["avatar_url"], body["preferred_region"]) == ("Ann", "http://example.org/a", "sfo3")
    assert wire.decode(change(client, fullName=" "))["full_name"] is None


def test_nothing_at_all_changes_nothing(client: APIClient) -> None:
    before = wire.decode(client.get(ME))
    assert wire.decode(change(client, "put")) == before | {"updated_at": wire.decode(client.get(ME))["updated_at"]}


def test_plan_and_flags_are_ignored(client: APIClient, ann: SignIn) -> None:
    fields = ["plan", "subscription_plan", "is_admin", "is_staff", "is_superuser", "is_verified", "is_active", "id"]
    response = change(client, **dict.fromkeys(fields, "pro"), password="x", created_at="2001-01-01T00:00:00Z")
    assert response.status_code == 200
    user = User.objects.get()
    assert (user.pk, user.plan, user.is_staff, user.is_superuser, user.is_active) == (
        *(ann.user.pk, "free", False, False),
        True,
    )
    assert user.check_password(PASSWORD)


@pytest.mark.parametrize("email", ["ann@example.org", " ANN@Example.org", None])
def test_the_address_as_it_is_may_be_sent_along(email: str | None, client: APIClient) -> None:
    assert wire.decode(change(client, email=email, full_name="A"))["email"] == "ann@example.org"


def test_another_address_is_refused_and_nothing_is_changed(client: APIClient) -> None:
    assert wire.field_codes(change(client, email="other@example.org", full_name="A")) == {"email": "immutable"}
    assert User.objects.get().full_name is None


def test_the_name_of_another_user_is_taken_whatever_the_case(client: APIClient, ben: SignIn) -> None:
    wire.check_refusal(change(client, username="BEN", full_name="A"), 409, "username_taken")
    assert User.objects.get(username="ann").full_name is None


def test_ones_own_name_in_another_case_is_free(client: APIClient) -> None:
    assert wire.decode(change(client, username="ANN"))["username"] == "ANN"
    assert wire.decode(change(client, username="ANN"))["username"] == "ANN"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "an", "min_length"),
        ("username", "a" * 31, "max_length"),
        ("username", "ann lee", "invalid"),
        ("username", None, "null"),
        ("full_name", "x" * 101, "max_length"),
        ("full_name", ["x"], "invalid"),
        ("avatar_url", "ftp://example.org/a.png", "invalid"),
        ("avatar_url", "javascript:alert(1)", "invalid"),
        ("avatar_url", "data:image/png;base64,AAAA", "invalid"),
        ("avatar_url", "//example.org/a.png", "invalid"),
        ("avatar_url", f"https://example.org/{'a' * 481}", "max_length"),
        ("avatar_url", 7, "invalid"),
        ("avatar_url", "", "blank"),
        ("preferred_region", "x" * 51, "max_length"),
        ("preferred_region", {"slug": "nyc3"}, "invalid"),
        ("record_terminals", None, "null"),
        ("record_terminals", "perhaps", "invalid"),
        ("record_terminals", [True], "invalid"),
        ("email", "x" * 255, "max_length"),
    ],
)
def test_a_bad_value_is_named_with_a_known_code(field: str, value: Any, code: str, client: APIClient) -> None:
    assert wire.field_codes(change(client, **{field: value})) == {field: code}


def test_the_region_is_checked_once_the_catalogue_is_known(client: APIClient) -> None:
    cache.set("catalogue:regions:stale", [Region("nyc3", "New York", True, ("storage",), ())])
    assert wire.field_codes(change(client, preferred_region="mars1")) == {"preferred_region": "unknown_choice"}
    assert change(client, preferred_region="nyc3").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_parallel_claims_to_one_name_one_wins(sign_up: Callable[..., SignIn]) -> None:
    clients = [APIClient(HTTP_AUTHORIZATION=f"Bearer {sign_up(name).tokens.access}") for name in ("ann", "ben", "cleo")]
    answers = in_parallel(lambda index: change(clients[index], username="Boss"), count=3)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


# --- Stats


@pytest.mark.parametrize("path", ["/users/me/stats", "/users/stats"])
def test_the_stats_have_these_keys_and_types(path: str, ann: SignIn, ben: SignIn, client: APIClient) -> None:
    now = timezone.now()
    environment(ann, Phase.RUNNING, last_activity_at=now)
    environment(ann, Phase.STARTING, created_at=now - timedelta(days=8), last_activity_at=now - timedelta(days=8))
    environment(ann, Phase.TERMINATED, created_at=now - timedelta(days=29))
    environment(ann, Phase.ERROR, created_at=now - timedelta(days=31))
    environment(ben)
    user_login(name_or_email="ann", password=PASSWORD, device=Device())
    services.session_logout(session=user_login(name_or_email="ann", password=PASSWORD, device=Device()).session)
    response = client.get(f"/api/v1{path}")
    assert response.status_code == 200
    assert wire.decode(response) == {
        "total_environments": 3,
        "active_tokens": 2,
        "environments_by_status": {"running": 1, "creating": 1, "error": 1},
        "environments_by_phase": {"running": 1, "starting": 1, "error": 1},
        "recent_activity": {
            "environments_created_last_7_days": 1,
            "environments_created_last_30_days": 3,
            "environments_active_last_week": 1,
        },
        "limits": {"max_environments": 1, "used": 3},
    }


def test_an_unlimited_plan_has_no_maximum(ann: SignIn, client: APIClient, settings: Any) -> None:
    settings.PLANS = {**settings.PLANS, "pro": {**settings.PLANS["pro"], "max_environments": None}}
    User.objects.update(plan="pro")
    body = wire.decode(client.get(f"{ME}/stats"))
    assert body["limits"] == {"max_environments": None, "used": 0}
    assert (body["environments_by_status"], body["environments_by_phase"]) == ({}, {})


# --- Sessions

SESSIONS = f"{ME}/sessions"
SESSION = {
    "id": wire.uuid4,
    "created_at": wire.time,
    "last_used_at": wire.time,
    "user_agent": wire.text,
    "ip": wire.nullable(wire.text),
    "current": wire.flag,
}


@pytest.fixture
def tablet(ann: SignIn) -> SignIn:
    """Ann's other device."""
    device = Device(user_agent="Tablet/1", ip="2001:db8::7")
    return user_login(name_or_email="ann", password=PASSWORD, device=device)


def test_the_list_shows_live_sessions_and_which_one_asks(
    ann: SignIn, ben: SignIn, tablet: SignIn, client: APIClient
) -> None:
    services.session_logout(session=user_login(name_or_email="ann", password=PASSWORD, device=Device()).session)
    expired = user_login(name_or_email="ann", password=PASSWORD, device=Device()).session
    Session.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    response = client.get(SESSIONS)
    shown = wire.decode(response)
    for one in shown:
        wire.check(one, SESSION)
    assert [(one["id"], one["current"]) for one in shown] == [
        (str(tablet.session.pk), False),
        (str(ann.session.pk), True),
    ]
    assert (shown[0]["user_agent"], shown[0]["ip"]) == ("Tablet/1", "2001:db8::7")
    assert response["X-Total-Count"] == "2"


def test_a_session_of_ones_own_is_ended_at_once(
    tablet: SignIn, client: APIClient, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(nudges, "_send", lambda groups, kind: sent.extend(f"{group} {kind}" for group in groups))
    with django_capture_on_commit_callbacks(execute=True):
        response = client.delete(f"{SESSIONS}/{tablet.session.pk}")
    assert (response.status_code, response.content) == (204, b"")
    assert sent == [f"session.{tablet.session.pk} session.revoked"]
    stale = APIClient(HTTP_AUTHORIZATION=f"Bearer {tablet.tokens.access}")
    wire.check_refusal(stale.get(ME), 401, "token_invalid")
    wire.check_refusal(client.delete(f"{SESSIONS}/{tablet.session.pk}"), 404, "not_found")
    assert client.get(ME).status_code == 200


def test_the_asking_session_may_end_itself(ann: SignIn, client: APIClient) -> None:
    assert client.delete(f"{SESSIONS}/{ann.session.pk}").status_code == 204
    wire.check_refusal(client.get(ME), 401, "token_invalid")


@pytest.mark.parametrize("session_id", ["x", "7", "%00", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_or_malformed_id_is_not_found(session_id: str, client: APIClient) -> None:
    wire.check_refusal(client.delete(f"{SESSIONS}/{session_id}"), 404, "not_found")


def test_somebody_elses_session_is_not_found(client: APIClient, ben: SignIn) -> None:
    wire.check_refusal(client.delete(f"{SESSIONS}/{ben.session.pk}"), 404, "not_found")
    assert Session.objects.get(pk=ben.session.pk).revoked_at is None


def test_sessions_that_ended_long_ago_are_forgotten_at_the_next_sign_in(ann: SignIn, ben: SignIn) -> None:
    Session.objects.update(expires_at=timezone.now() - timedelta(days=31))
    user_login(name_or_email="ann", password=PASSWORD, device=Device())
    assert not Session.objects.filter(pk=ann.session.pk).exists()
    assert Session.objects.filter(pk=ben.session.pk).exists()
