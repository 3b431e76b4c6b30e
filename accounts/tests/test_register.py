"""POST /auth/register (contract 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel

VALID = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}


def register(**fields: Any) -> Response:
    return APIClient().post("/api/v1/auth/register", **wire.body({**VALID, **fields}))


@pytest.mark.django_db
def test_the_answer_is_the_token_pair_and_the_user_in_one() -> None:
    response = register(full_name="Ann Lee")
    assert response.status_code == 201
    body = wire.decode(response)
    user = wire.USER | wire.CAMEL_USER
    wire.check(body, user | wire.TOKEN_PAIR | {"message": wire.text})
    assert {name: body[name] for name in user} == body["user"]
    assert (
        body["user"]
        | {
            "username": "ann",
            "email": "ann@example.org",
            "full_name": "Ann Lee",
            "fullName": "Ann Lee",
            "is_active": True,
            "is_verified": False,
            "subscription_plan": "free",
            "is_admin": False,
            "environment_count": 0,
            "preferred_region": None,
            "avatar_url": None,
        }
        == body["user"]
    )
    assert body["last_login"] is not None
    assert (body["expires_in"], body["refresh_expires_in"]) == (3600, 604800)


@pytest.mark.django_db
def test_the_password_is_in_no_answer_and_stored_hashed() -> None:
    response = register()
    assert PASSWORD not in response.content.decode()
    stored = User.objects.get().password
    assert stored.startswith("argon2$argon2id$")


@pytest.mark.django_db
def test_the_camel_case_copies_can_be_turned_off(settings: Any) -> None:
    settings.LEGACY_CAMELCASE_USER = False
    assert set(wire.decode(register())["user"]) == set(wire.USER)


@pytest.mark.django_db
def test_both_tokens_are_jwts_that_name_user_and_session() -> None:
    body = wire.decode(register())
    session = Session.objects.get()
    access, refresh = (
        jwt.decode(body[name], options={"verify_signature": False}) for name in ("access_token", "refresh_token")
    )
    for claims, kind, seconds in ((access, "access_token", 3600), (refresh, "refresh_token", 604800)):
        assert claims["type"] == kind
        assert claims["sub"] == body["id"]
        assert claims["sid"] == str(session.pk)
        assert claims["auth_time"] == int(session.auth_time.timestamp())
        assert type(claims["exp"]) is type(claims["iat"]) is type(claims["auth_time"]) is int
        assert claims["exp"] - claims["iat"] == seconds
        assert type(claims["jti"]) is str
    assert access["jti"] != refresh["jti"]
    assert (access["username"], access["email"]) == ("ann", "ann@example.org")
    assert jwt.get_unverified_header(body["refresh_token"])["alg"] == "HS256"


@pytest.mark.django_db
def test_the_new_user_is_signed_in() -> None:
    body = wire.decode(register())
    response = APIClient(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}").get("/api/v1/auth/me")
    assert wire.decode(response) == body["user"]


@pytest.mark.django_db
def test_the_session_remembers_the_device() -> None:
    client = APIClient(REMOTE_ADDR="203.0.113.9", HTTP_USER_AGENT="DevPocket/3 " + "x" * 300)
    assert client.post("/api/v1/auth/register", VALID).status_code == 201
    session = Session.objects.get()
    assert session.ip == "203.0.113.9"
    assert session.user_agent == "DevPocket/3 " + "x" * 188


@pytest.mark.django_db
@pytest.mark.parametrize("username", ["ann", "Ann-Lee", "ann_lee", "-_-", "123", "a" * 30])
def test_usernames_are_stored_as_given(username: str) -> None:
    assert wire.decode(register(username=username))["username"] == username


@pytest.mark.django_db
def test_the_email_is_stored_in_lower_case() -> None:
    assert wire.decode(register(email="Ann.Lee@Example.ORG"))["email"] == "ann.lee@example.org"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"username": "ANN", "email": "other@example.org"}, "username_taken"),
        ({"username": "ann", "email": "ann@example.org"}, "username_taken"),
        ({"username": "other", "email": "ANN@example.ORG"}, "email_taken"),
    ],
)
def test_names_and_addresses_are_unique_whatever_their_case(ann: SignIn, fields: dict[str, str], code: str) -> None:
    wire.check_refusal(register(**fields), 409, code)
    assert User.objects.count() == Session.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "an", "min_length"),
        ("username", "a" * 31, "max_length"),
        ("username", "ann lee", "invalid"),
        ("username", "ann@lee", "invalid"),
        ("username", "änn", "invalid"),
        ("username", "ann\n1", "invalid"),
        ("username", "", "blank"),
        ("username", None, "null"),
        ("username", ["ann"], "invalid"),
        ("username", True, "invalid"),
        ("email", "ann", "invalid"),
        ("email", "ann@", "invalid"),
        ("email", f"{'a' * 243}@example.org", "max_length"),
        ("email", f"{'a' * 240}@{'İ' * 8}.org", "max_length"),  # 253 characters, which lower case makes 261
        ("email", "", "blank"),
        ("email", None, "null"),
        ("password", "Short-7", "min_length"),
        ("password", "Aa1" + "x" * 126, "max_length"),
        ("password", "no-capitals-7", "weak_password"),
        ("password", "NO-SMALL-ONES-7", "weak_password"),
        ("password", "No-Digits-Here", "weak_password"),
        ("password", "Password123", "common_password"),
        ("password", "x-ANN-x-Secret-7", "common_password"),
        ("password", "null\0Inside-7", "invalid"),
        ("password", "half\ud800Surrogate-7", "invalid"),
        ("password", None, "null"),
        ("password", 12345678, "invalid"),
        ("full_name", "x" * 101, "max_length"),
        ("full_name", {"first": "Ann"}, "invalid"),
        ("preferred_region", "x" * 51, "max_length"),
    ],
)
def test_a_bad_field_is_named_with_a_known_code(field: str, value: Any, code: str) -> None:
    assert wire.field_codes(register(**{field: value})) == {field: code}
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_password_may_not_contain_the_local_part_of_the_address() -> None:
    response = register(email="shrubbery@example.org", password="My-Shrubbery-7")
    assert wire.field_codes(response) == {"password": "common_password"}


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["Abcdefg7", "Aa1" + "x" * 125, " Blanks-Count-7 ", "Ünïcödé-Pass-7", "Zz9zzzzz"])
def test_a_password_needs_no_special_character(password: str) -> None:
    assert register(password=password).status_code == 201
    assert User.objects.get().check_password(password)


@pytest.mark.django_db
def test_a_short_local_part_does_not_forbid_nearly_every_password() -> None:
    assert register(email="a@example.org").status_code == 201


@pytest.mark.django_db
def test_all_missing_fields_are_named_at_once() -> None:
    response = APIClient().post("/api/v1/auth/register", {})
    assert wire.field_codes(response) == {"username": "required", "email": "required", "password": "required"}


@pytest.mark.django_db
def test_the_message_names_the_field() -> None:
    body = wire.check_refusal(register(username=None), 422, "invalid_input")
    assert body["detail"] == "Username may not be null."


@pytest.mark.django_db
@pytest.mark.parametrize("name", [None, "", "   "])
def test_an_empty_full_name_is_none(name: str | None) -> None:
    body = wire.decode(register(full_name=name, preferred_region=None))
    assert body["full_name"] is body["preferred_region"] is None


@pytest.mark.django_db
def test_camel_case_spellings_and_unknown_fields_are_accepted() -> None:
    body = wire.decode(register(fullName="Ann Lee", preferredRegion="nyc3", is_staff=True, plan="pro", shoe=7))
    assert (body["full_name"], body["preferred_region"]) == ("Ann Lee", "nyc3")
    assert (body["is_admin"], body["subscription_plan"]) == (False, "free")


@pytest.mark.django_db
def test_the_snake_case_spelling_wins() -> None:
    assert wire.decode(register(fullName="camel", full_name="snake"))["full_name"] == "snake"


@pytest.mark.django_db
def test_a_stale_bearer_header_is_not_looked_at() -> None:
    response = APIClient(HTTP_AUTHORIZATION="Bearer stale").post("/api/v1/auth/register", VALID)
    assert response.status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("other", "code"), [({"email": "two@example.org"}, "username_taken"), ({"username": "two"}, "email_taken")]
)
def test_of_two_parallel_sign_ups_one_is_refused(other: dict[str, str], code: str) -> None:
    answers = in_parallel(lambda index: register(**(other if index else {})), count=2)
    refused, made = sorted(answers, key=lambda answer: answer.status_code, reverse=True)
    assert made.status_code == 201
    wire.check_refusal(refused, 409, code)
    assert User.objects.count() == Session.objects.count() == 1


def test_a_sign_up_takes_few_queries(
    db: None, django_assert_max_num_queries: Callable[..., CaptureQueriesContext]
) -> None:
    with django_assert_max_num_queries(10):
        assert register().status_code == 201
