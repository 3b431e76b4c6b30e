"""Whatever JSON is sent, the answer is a success or a check_refusal in the contract's shape."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.tests import wire

FIELDS = [
    *("username", "email", "password", "full_name", "fullName", "preferred_region", "all"),
    *("username_or_email", "usernameOrEmail", "refresh_token", "refreshToken"),
    *("token", "new_password", "newPassword", "current_password", "avatar_url", "public_key", "name"),
]
TEXTS = st.text(st.characters(), max_size=40)  # half surrogate pairs and NUL included
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
KNOWN = ["ann", "ann@example.org", PASSWORD, "000000", "https://example.org/a.png", "nyc3"]
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from(KNOWN)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
BODIES = VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES) | st.dictionaries(st.sampled_from(FIELDS), LEAVES)
# Every example is rolled back, so `ann` and the database are the same for all of them.
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(method: str, path: str, body: object, sign_in: SignIn | None = None) -> None:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {sign_in.tokens.access}"} if sign_in else {}
    with transaction.atomic():
        response = getattr(APIClient(**headers), method)(f"/api/v1/{path}", **wire.body(body))
        transaction.set_rollback(True)
    cache.clear()
    assert response.status_code in (200, 201, 400, 401, 403, 409, 422), response.content
    assert sign_in is None or response.status_code != 401
    if response.status_code >= 400:
        code = wire.decode(response)["code"]
        wire.check_refusal(response, response.status_code, code)


OPEN = ["register", "login", "refresh", "verify-email", "resend-verification", "forgot-password", "reset-password"]
SIGNED_IN = [
    ("post", "auth/verify-email"),
    ("post", "auth/resend-verification"),
    ("post", "auth/change-password"),
    ("put", "users/me"),
    ("patch", "users/me"),
    ("delete", "users/me"),
    ("post", "users/me/ssh-keys"),
]


@pytest.mark.parametrize("path", OPEN)
@FUZZ
@given(body=BODIES)
def test_routes_without_sign_in_are_total(path: str, ann: SignIn, body: object) -> None:
    check("post", f"auth/{path}", body)


@pytest.mark.parametrize(("method", "path"), SIGNED_IN)
@FUZZ
@given(body=BODIES)
def test_routes_with_sign_in_are_total(method: str, path: str, ann: SignIn, body: object) -> None:
    check(method, path, body, ann)


@FUZZ
@given(
    path=st.sampled_from(["verify-email", "reset-password"]),
    fields=st.dictionaries(st.sampled_from(["token", "new_password", "repeated"]), st.text(max_size=40)),
)
def test_the_pages_are_total(ann: SignIn, path: str, fields: dict[str, str]) -> None:
    assert Client().get(f"/{path}", fields).status_code == 200
    assert Client().post(f"/{path}", fields).status_code in (400, 422)


@FUZZ
@given(raw=st.binary(max_size=200))
def test_bytes_that_are_no_json_object_are_malformed(db: None, raw: bytes) -> None:
    response = APIClient().generic("POST", "/api/v1/auth/login", raw, content_type="application/json")
    if raw:
        assert response.status_code in (400, 422)
    wire.check_refusal(response, response.status_code, wire.decode(response)["code"])


@FUZZ
@given(header=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80))
def test_the_authorization_header_is_total(db: None, header: str) -> None:
    response = APIClient(HTTP_AUTHORIZATION=header).get("/api/v1/auth/me")
    wire.check_refusal(response, 401, wire.decode(response)["code"])
