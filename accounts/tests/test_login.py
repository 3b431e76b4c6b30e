"""POST /auth/login, GET /auth/me and /auth/profile (contract 3, 3.2, 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import Session
from accounts.selectors import find_user
from accounts.services import WRONG_LOGIN_TEXT, SignIn
from conftest import PASSWORD
from devpocket.tests import wire


def login(name: Any = "ann", password: Any = PASSWORD, key: str = "username_or_email", **more: Any) -> Response:
    return APIClient().post("/api/v1/auth/login", **wire.body({key: name, "password": password, **more}))


def test_the_answer_is_a_token_pair_with_the_user(ann: SignIn) -> None:
    response = login()
    assert response.status_code == 200
    body = wire.decode(response)
    wire.check(body, wire.TOKEN_PAIR)
    assert body["user"]["id"] == str(ann.user.pk)
    assert body["user"]["is_verified"] is True


@pytest.mark.parametrize("name", ["ann", "ANN", " ann ", "ann@example.org", "Ann@Example.Org"])
def test_the_name_or_the_address_will_do_whatever_the_case(ann: SignIn, name: str) -> None:
    assert login(name).status_code == 200


@pytest.mark.parametrize("key", ["username_or_email", "usernameOrEmail", "email", "username"])
def test_other_spellings_of_the_field_are_accepted(ann: SignIn, key: str) -> None:
    assert login(key=key).status_code == 200


def test_a_null_does_not_hide_another_spelling(ann: SignIn) -> None:
    assert login(key="email", username_or_email=None, username=None).status_code == 200


def test_the_wildcards_of_sql_are_plain_characters(sign_up: Callable[..., SignIn]) -> None:
    sign_up("annxlee")
    wire.check_refusal(login("ann_lee"), 401, "invalid_credentials")
    wire.check_refusal(login("ann%"), 401, "invalid_credentials")


def test_each_sign_in_is_a_session_of_its_own_and_sets_last_login(
    ann: SignIn, user_of: Callable[[SignIn], Any]
) -> None:
    before = timezone.now()
    assert wire.decode(login())["user"]["last_login"] is not None
    assert user_of(ann).last_login >= before
    assert Session.objects.filter(user=ann.user, revoked_at=None).count() == 2


@pytest.mark.parametrize(
    ("name", "password"),
    [("nobody", PASSWORD), ("ann", "wrong"), ("ann", PASSWORD.lower()), ("ann", f" {PASSWORD}"), ("nobody\ud7ff", "x")],
)
def test_wrong_data_gets_one_text_that_the_client_knows(ann: SignIn, name: str, password: str) -> None:
    body = wire.check_refusal(login(name, password), 401, "invalid_credentials")
    assert body["detail"] == WRONG_LOGIN_TEXT
    assert "incorrect" in body["detail"].lower()
    assert body["errors"] == []


def test_a_disabled_account_is_refused_like_a_wrong_password(sign_up: Callable[..., SignIn]) -> None:
    sign_up("ann", is_active=False)
    wire.check_refusal(login(), 401, "invalid_credentials")
    assert Session.objects.count() == 1


def test_an_account_without_password_is_refused_like_a_wrong_password(ann: SignIn) -> None:
    ann.user.set_unusable_password()
    ann.user.save()
    for password in (PASSWORD, ann.user.password, "!"):
        wire.check_refusal(login(password=password), 401, "invalid_credentials")


@pytest.mark.parametrize("case", ["right", "wrong", "unknown", "disabled", "no_password"])
def test_every_try_costs_one_hash(case: str, ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    if case == "disabled":
        ann.user.is_active = False
    if case == "no_password":
        ann.user.set_unusable_password()
    ann.user.save()
    hashed: list[str] = []
    for name in ("encode", "verify"):
        original = getattr(Argon2PasswordHasher, name)

        def spy(*args: Any, original: Any = original, name: str = name) -> Any:
            hashed.append(name)
            return original(*args)

        monkeypatch.setattr(Argon2PasswordHasher, name, spy)
    login("nobody" if case == "unknown" else "ann", "wrong" if case == "wrong" else PASSWORD)
    assert len(hashed) == 1


@pytest.mark.parametrize(
    ("name", "password", "codes"),
    [
        ("", PASSWORD, {"username_or_email": "blank"}),
        (None, None, {"username_or_email": "null", "password": "null"}),
        ("x" * 255, "x" * 129, {"username_or_email": "max_length", "password": "max_length"}),
        ({"a": 1}, ["x"], {"username_or_email": "invalid", "password": "invalid"}),
        ("ann\0", PASSWORD, {"username_or_email": "invalid"}),
        ("\ud800", "\udfff", {"username_or_email": "invalid", "password": "invalid"}),
    ],
)
@pytest.mark.django_db
def test_a_bad_field_is_named_with_a_known_code(name: Any, password: Any, codes: dict[str, str]) -> None:
    assert wire.field_codes(login(name, password)) == codes


@pytest.mark.parametrize("route", ["/api/v1/auth/me", "/api/v1/auth/profile"])
def test_me_is_the_user(ann: SignIn, client_of: Callable[[SignIn], APIClient], route: str) -> None:
    response = client_of(ann).get(route)
    assert response.status_code == 200
    body = wire.decode(response)
    wire.check(body, wire.USER | wire.CAMEL_USER)
    assert (body["id"], body["username"], body["email"]) == (str(ann.user.pk), "ann", "ann@example.org")
    assert {camel: body[camel] for camel in wire.CAMEL_USER} == {
        "fullName": body["full_name"],
        "isActive": body["is_active"],
        "isVerified": body["is_verified"],
        "subscriptionPlan": body["subscription_plan"],
        "createdAt": body["created_at"],
        "lastLogin": body["last_login"],
    }


@pytest.mark.parametrize("plan", ["free", "starter", "pro", "admin"])
def test_who_is_admin_is_the_staff_flag_and_not_the_plan(
    sign_up: Callable[..., SignIn], client_of: Callable[[SignIn], APIClient], plan: str
) -> None:
    shown = wire.decode(client_of(sign_up("ann", plan=plan)).get("/api/v1/auth/me"))
    assert (shown["subscription_plan"], shown["is_admin"]) == (plan, False)
    assert wire.decode(client_of(sign_up("boss", is_staff=True)).get("/api/v1/auth/me"))["is_admin"] is True


def test_me_takes_two_queries(
    ann: SignIn, client_of: Callable[[SignIn], APIClient], django_assert_num_queries: Callable[[int], Any]
) -> None:
    client = client_of(ann)
    with django_assert_num_queries(2):  # the session with its user, and the number of environments
        assert client.get("/api/v1/auth/me").status_code == 200


def test_the_index_of_lower_case_names_is_asked(ann: SignIn, django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(1) as captured:
        assert find_user("ANN") == ann.user
    assert 'LOWER("accounts_user"."username")' in captured[0]["sql"]
    assert 'LOWER("accounts_user"."email")' in captured[0]["sql"]
