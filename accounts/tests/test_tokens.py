"""Which tokens are accepted (contract 3.6, trap T8): as Bearer on /auth/me, and as refresh token."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import Session
from accounts.services import SignIn
from devpocket.tests import wire

OTHER_KEY = "another-key-of-at-least-thirty-two-bytes"


def me(header: str) -> Response:
    return APIClient(HTTP_AUTHORIZATION=header).get("/api/v1/auth/me")


def refresh(token: str) -> Response:
    return APIClient().post("/api/v1/auth/refresh", {"refresh_token": token})


def forged(token: str, *, key: str = "", algorithm: str = "HS256", without: str = "", **changes: Any) -> str:
    """A token like `token`, signed with our own key where no other is given."""
    payload = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    payload.pop(without, None)
    return jwt.encode(payload, key or settings.JWT_SIGNING_KEY, algorithm=algorithm)


def unsigned(token: str) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def resized(token: str) -> str:
    """The signature's last characters cut off."""
    return token[:-4]


Forge = Callable[[str], str]
FORGERIES: dict[str, tuple[Forge, str]] = {
    "expired": (lambda token: forged(token, exp=int(time.time()) - 31), "token_expired"),
    "other_key": (lambda token: forged(token, key=OTHER_KEY), "token_invalid"),
    "expired_and_other_key": (lambda token: forged(token, key=OTHER_KEY, exp=1), "token_invalid"),
    "other_algorithm": (
        lambda token: forged(token, key=settings.JWT_SIGNING_KEY * 2, algorithm="HS512"),
        "token_invalid",
    ),
    "algorithm_none": (unsigned, "token_invalid"),
    "cut_signature": (resized, "token_invalid"),
    "numeric_sub": (lambda token: forged(token, sub=7), "token_invalid"),
    "sub_is_no_uuid": (lambda token: forged(token, sub="ann"), "token_invalid"),
    "sub_is_null": (lambda token: forged(token, sub=None), "token_invalid"),
    "unknown_user": (lambda token: forged(token, sub=str(uuid.uuid4())), "token_invalid"),
    "unknown_session": (lambda token: forged(token, sid=str(uuid.uuid4())), "token_invalid"),
    "sid_is_a_list": (lambda token: forged(token, sid=["x"]), "token_invalid"),
    "sid_is_a_number": (lambda token: forged(token, sid=7), "token_invalid"),
    "unknown_type": (lambda token: forged(token, type="access"), "token_invalid"),
    "exp_is_no_number": (lambda token: forged(token, exp="soon"), "token_invalid"),
    "issued_in_the_future": (lambda token: forged(token, iat=int(time.time()) + 3600), "token_invalid"),
    **{
        f"no_{claim}": (lambda token, claim=claim: forged(token, without=claim), "token_invalid")  # type: ignore[misc]
        for claim in ("sub", "sid", "jti", "exp", "type")
    },
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_access_token_is_refused(ann: SignIn, name: str) -> None:
    forge, code = FORGERIES[name]
    wire.check_refusal(me(f"Bearer {forge(ann.tokens.access)}"), 401, code)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_refresh_token_is_refused_and_ends_nothing(ann: SignIn, name: str) -> None:
    forge, code = FORGERIES[name]
    wire.check_refusal(refresh(forge(ann.tokens.refresh)), 401, code)
    assert Session.objects.get().revoked_at is None


def test_a_few_seconds_after_its_end_a_token_still_works(ann: SignIn) -> None:
    assert me(f"Bearer {forged(ann.tokens.access, exp=int(time.time()) - 5)}").status_code == 200


def test_a_refresh_token_is_no_access_token(ann: SignIn) -> None:
    wire.check_refusal(me(f"Bearer {ann.tokens.refresh}"), 401, "token_invalid")


def test_the_session_of_another_user_is_refused(ann: SignIn, ben: SignIn) -> None:
    wire.check_refusal(me(f"Bearer {forged(ann.tokens.access, sid=str(ben.session.pk))}"), 401, "token_invalid")
    wire.check_refusal(refresh(forged(ann.tokens.refresh, sid=str(ben.session.pk))), 401, "token_invalid")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(ann: SignIn, scheme: str) -> None:
    assert me(f"{scheme} {ann.tokens.access}").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer a b",
        "Bearer \xff\xfe",
        "Bearer " + "x" * 5000,
        "bearer .",
    ],
)
@pytest.mark.django_db
def test_a_broken_bearer_header_is_refused(header: str) -> None:
    wire.check_refusal(me(header), 401, "token_invalid")


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Token abc", "Bearerx", "\xff"])
@pytest.mark.django_db
def test_another_or_no_scheme_means_not_signed_in(header: str) -> None:
    wire.check_refusal(me(header), 401, "not_authenticated")


@pytest.mark.django_db
def test_a_request_without_header_is_not_signed_in() -> None:
    wire.check_refusal(APIClient().get("/api/v1/auth/me"), 401, "not_authenticated")


def test_a_disabled_user_is_refused_at_once(ann: SignIn) -> None:
    ann.user.is_active = False
    ann.user.save()
    wire.check_refusal(me(f"Bearer {ann.tokens.access}"), 401, "token_invalid")


def test_a_deleted_user_is_refused_at_once(ann: SignIn) -> None:
    ann.user.delete()
    wire.check_refusal(me(f"Bearer {ann.tokens.access}"), 401, "token_invalid")
    wire.check_refusal(refresh(ann.tokens.refresh), 401, "token_invalid")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/auth/me"),
        ("get", "/auth/profile"),
        ("post", "/auth/logout"),
        ("get", "/templates"),
        ("get", "/templates/x"),
    ],
)
@pytest.mark.django_db
def test_routes_for_users_need_a_token(method: str, path: str) -> None:
    wire.check_refusal(getattr(APIClient(), method)(f"/api/v1{path}"), 401, "not_authenticated")
    stale = APIClient(HTTP_AUTHORIZATION="Bearer stale")
    wire.check_refusal(getattr(stale, method)(f"/api/v1{path}"), 401, "token_invalid")
