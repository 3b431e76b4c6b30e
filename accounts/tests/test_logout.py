"""POST /auth/logout (contract 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Session
from accounts.selectors import live_session
from accounts.services import Device, SignIn, user_login
from conftest import PASSWORD
from devpocket import nudges
from devpocket.tests import wire


def bearer(sign_in: SignIn) -> APIClient:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {sign_in.tokens.access}")


def me(sign_in: SignIn) -> Response:
    return bearer(sign_in).get("/api/v1/auth/me")


@pytest.fixture
def second(ann: SignIn) -> SignIn:
    """Ann's other device."""
    return user_login(name_or_email="ann", password=PASSWORD, device=Device())


def test_logout_ends_this_session_at_once_and_no_other(ann: SignIn, second: SignIn) -> None:
    response = bearer(ann).post("/api/v1/auth/logout")
    assert response.status_code == 200
    wire.check(wire.decode(response), {"message": wire.text})

    wire.check_refusal(me(ann), 401, "token_invalid")
    refreshed = APIClient().post("/api/v1/auth/refresh", {"refresh_token": ann.tokens.refresh})
    wire.check_refusal(refreshed, 401, "token_invalid")
    assert me(second).status_code == 200
    assert not live_session(ann.session.pk).exists()
    assert live_session(second.session.pk).exists()
    assert Session.objects.get(pk=ann.session.pk).revoked_reason == "logout"


def test_logout_everywhere_ends_every_session_of_the_user(ann: SignIn, second: SignIn, ben: SignIn) -> None:
    assert bearer(ann).post("/api/v1/auth/logout", {"all": True}).status_code == 200
    wire.check_refusal(me(ann), 401, "token_invalid")
    wire.check_refusal(me(second), 401, "token_invalid")
    assert me(ben).status_code == 200


def test_a_session_that_has_ended_keeps_its_reason(ann: SignIn, second: SignIn) -> None:
    Session.objects.filter(pk=second.session.pk).update(revoked_at=second.session.created_at, revoked_reason="reuse")
    services.session_logout(session=ann.session, every=True)
    assert Session.objects.get(pk=second.session.pk).revoked_reason == "reuse"


@pytest.mark.parametrize(
    "body",
    [{}, {"all": False}, {"all": None, "refresh_token": None}, {"refreshToken": "whatever"}, {"refresh_token": ""}],
)
def test_every_field_is_optional(ann: SignIn, second: SignIn, body: dict[str, Any]) -> None:
    assert bearer(ann).post("/api/v1/auth/logout", body).status_code == 200
    assert me(second).status_code == 200


def test_no_body_and_no_content_type_will_do(ann: SignIn) -> None:
    assert bearer(ann).generic("POST", "/api/v1/auth/logout", content_type="").status_code == 200


def test_a_bad_field_is_named_and_nobody_is_signed_out(ann: SignIn) -> None:
    response = bearer(ann).post("/api/v1/auth/logout", {"all": "perhaps"})
    assert wire.field_codes(response) == {"all": "invalid"}
    assert me(ann).status_code == 200


def test_a_second_logout_is_refused(ann: SignIn) -> None:
    bearer(ann).post("/api/v1/auth/logout")
    wire.check_refusal(bearer(ann).post("/api/v1/auth/logout"), 401, "token_invalid")


def test_open_websockets_hear_of_it_after_the_commit(
    ann: SignIn,
    second: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "_send", lambda groups, kind: sent.extend((group, kind) for group in groups))
    with django_capture_on_commit_callbacks() as callbacks:
        services.session_logout(session=ann.session, every=True)
        assert sent == []
    for callback in callbacks:
        callback()
    assert sorted(sent) == sorted((f"session.{one.session.pk}", "session.revoked") for one in (ann, second))
