"""Whatever JSON is sent to the routes that need no sign-in, the answer is a refusal in the contract's shape."""

from __future__ import annotations

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.tests import wire

FIELDS = [
    *("username", "email", "password", "full_name", "fullName", "preferred_region", "all"),
    *("username_or_email", "usernameOrEmail", "refresh_token", "refreshToken"),
]
TEXTS = st.text(st.characters(), max_size=40)  # half surrogate pairs and NUL included
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from(["ann", "ann@example.org", PASSWORD])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
BODIES = VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES) | st.dictionaries(st.sampled_from(FIELDS), LEAVES)
# Every example is rolled back, so `ann` and the database are the same for all of them.
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(path: str, body: object) -> None:
    with transaction.atomic():
        response = APIClient().post(f"/api/v1/auth/{path}", **wire.body(body))
        transaction.set_rollback(True)
    assert response.status_code in (200, 201, 400, 401, 409, 422), response.content
    if response.status_code >= 400:
        code = wire.decode(response)["code"]
        wire.refusal(response, response.status_code, code)


@FUZZ
@given(body=BODIES)
def test_register_is_total(ann: SignIn, body: object) -> None:
    check("register", body)


@FUZZ
@given(body=BODIES)
def test_login_is_total(ann: SignIn, body: object) -> None:
    check("login", body)


@FUZZ
@given(body=BODIES)
def test_refresh_is_total(ann: SignIn, body: object) -> None:
    check("refresh", body)


@FUZZ
@given(raw=st.binary(max_size=200))
def test_bytes_that_are_no_json_object_are_malformed(db: None, raw: bytes) -> None:
    response = APIClient().generic("POST", "/api/v1/auth/login", raw, content_type="application/json")
    if raw:
        assert response.status_code in (400, 422)
    wire.refusal(response, response.status_code, wire.decode(response)["code"])


@FUZZ
@given(header=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80))
def test_the_authorization_header_is_total(db: None, header: str) -> None:
    response = APIClient(HTTP_AUTHORIZATION=header).get("/api/v1/auth/me")
    wire.refusal(response, 401, wire.decode(response)["code"])
