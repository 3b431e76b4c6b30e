"""What POST /auth/google takes, and what it refuses before it looks at a token."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.tests.google.issuer import Issuer
from accounts.tests.google.signing_in import post, signed_in
from devpocket.tests import wire


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["id_token", "idToken", "token"])
@pytest.mark.parametrize("path", ["/api/v1/auth/google", "/api/v1/auth/google/"])
def test_each_spelling_of_the_field_and_of_the_route_will_do(issuer: Issuer, key: str, path: str) -> None:
    signed_in(post(issuer.token(), key, path))


@pytest.mark.django_db
@pytest.mark.parametrize("ignored", [None, "ya29.x", "", 7, {"a": 1}])
def test_an_access_token_is_ignored(issuer: Issuer, ignored: Any) -> None:
    signed_in(post(issuer.token(), access_token=ignored))


@pytest.mark.django_db
def test_a_bearer_header_is_not_looked_at(issuer: Issuer) -> None:
    client = APIClient(HTTP_AUTHORIZATION="Bearer stale")
    signed_in(client.post("/api/v1/auth/google", **wire.body({"id_token": issuer.token()})))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"id_token": None, "token": None}, "null"),
        ({"id_token": ""}, "blank"),
        ({"id_token": " "}, "blank"),
        ({"id_token": ["x"]}, "invalid"),
        ({"id_token": {"x": 1}}, "invalid"),
        ({"id_token": True}, "invalid"),
        ({"id_token": "a\0b"}, "invalid"),
        ({"id_token": "\ud800"}, "invalid"),
        ({"id_token": "x" * 4097}, "max_length"),
    ],
)
def test_a_field_that_holds_no_token_is_named(body: dict[str, Any], code: str, issuer: Issuer) -> None:
    assert wire.field_codes(APIClient().post("/api/v1/auth/google", **wire.body(body))) == {"id_token": code}
    assert issuer.fetches == 0


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"id_token": "x"}])
def test_without_client_ids_google_is_not_configured(settings: Any, issuer: Issuer, body: dict[str, Any]) -> None:
    settings.GOOGLE_CLIENT_IDS = []
    response = APIClient().post("/api/v1/auth/google", **wire.body(body))
    wire.check_refusal(response, 503, "google_not_configured")
    assert issuer.fetches == 0


@pytest.mark.django_db
def test_other_methods_are_not_allowed() -> None:
    wire.check_refusal(APIClient().get("/api/v1/auth/google"), 405, "method_not_allowed")
