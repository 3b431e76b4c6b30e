"""POST /auth/refresh: rotation, the grace window and theft (contract 3.4, traps T5 and T6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import RefreshToken, Session
from accounts.services import Device, SignIn, session_logout, user_login
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel


def refresh(token: Any, **headers: str) -> Response:
    return APIClient(**headers).post("/api/v1/auth/refresh", **wire.body({"refresh_token": token}))


def me(access_token: str) -> Response:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {access_token}").get("/api/v1/auth/me")


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, settings.JWT_SIGNING_KEY, algorithms=["HS256"]))


def rotated_ago(sign_in: SignIn, seconds: float) -> None:
    """As if the refresh token had first been used that long ago."""
    changed = RefreshToken.objects.filter(jti=sign_in.tokens.refresh_jti).update(
        rotated_at=timezone.now() - timedelta(seconds=seconds)
    )
    assert changed == 1


def test_a_refresh_gives_a_new_pair_of_the_same_session(ann: SignIn) -> None:
    response = refresh(ann.tokens.refresh)
    assert response.status_code == 200
    body = wire.decode(response)
    wire.check(body, wire.TOKEN_PAIR)
    old, new = claims(ann.tokens.refresh), claims(body["refresh_token"])
    assert new["jti"] != old["jti"]
    assert (new["sub"], new["sid"], new["auth_time"]) == (old["sub"], old["sid"], old["auth_time"])
    assert claims(body["access_token"])["sid"] == old["sid"]
    assert me(body["access_token"]).status_code == 200
    assert me(ann.tokens.access).status_code == 200


def test_auth_time_stays_the_time_of_the_password(ann: SignIn) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    Session.objects.update(auth_time=hour_ago)
    body = wire.decode(refresh(ann.tokens.refresh))
    assert claims(body["access_token"])["auth_time"] == int(hour_ago.timestamp())


def test_a_refresh_keeps_the_session_alive_and_drops_expired_links(ann: SignIn) -> None:
    long_ago = timezone.now() - timedelta(days=30)
    Session.objects.update(last_used_at=long_ago, expires_at=long_ago)
    RefreshToken.objects.create(jti="old", session=ann.session, expires_at=long_ago)
    refresh(ann.tokens.refresh)
    session = Session.objects.get()
    assert session.last_used_at > long_ago
    assert session.expires_at > timezone.now() + timedelta(days=6)
    assert not RefreshToken.objects.filter(jti="old").exists()


def test_the_camel_case_spelling_is_accepted(ann: SignIn) -> None:
    response = APIClient().post("/api/v1/auth/refresh", {"refreshToken": ann.tokens.refresh})
    assert response.status_code == 200


@pytest.mark.parametrize("header", ["Bearer stale", "Bearer", "Basic YTpi"])
def test_an_authorization_header_is_ignored(ann: SignIn, header: str) -> None:
    assert refresh(ann.tokens.refresh, HTTP_AUTHORIZATION=header).status_code == 200


@pytest.mark.parametrize("seconds", [0, 29])
def test_a_token_works_twice_within_the_grace_window(ann: SignIn, seconds: float) -> None:
    first = wire.decode(refresh(ann.tokens.refresh))
    rotated_ago(ann, seconds)
    second = refresh(ann.tokens.refresh)
    assert second.status_code == 200
    for body in (first, wire.decode(second)):
        assert claims(body["refresh_token"])["sid"] == str(ann.session.pk)
        assert refresh(body["refresh_token"]).status_code == 200
        assert me(body["access_token"]).status_code == 200


def test_use_within_the_window_does_not_extend_it(ann: SignIn) -> None:
    refresh(ann.tokens.refresh)
    rotated_ago(ann, 20)
    first_use = RefreshToken.objects.get(jti=ann.tokens.refresh_jti).rotated_at
    assert refresh(ann.tokens.refresh).status_code == 200
    assert RefreshToken.objects.get(jti=ann.tokens.refresh_jti).rotated_at == first_use


def test_a_token_that_comes_back_later_ends_the_whole_session_and_no_other(ann: SignIn) -> None:
    other = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    newest = wire.decode(refresh(ann.tokens.refresh))
    rotated_ago(ann, 31)

    wire.check_refusal(refresh(ann.tokens.refresh), 401, "token_invalid")

    session = Session.objects.get(pk=ann.session.pk)
    assert session.revoked_at is not None
    assert session.revoked_reason == "reuse"
    wire.check_refusal(refresh(newest["refresh_token"]), 401, "token_invalid")
    wire.check_refusal(me(newest["access_token"]), 401, "token_invalid")
    assert me(other.tokens.access).status_code == 200
    assert refresh(other.tokens.refresh).status_code == 200


def test_the_window_is_a_setting(ann: SignIn, settings: Any) -> None:
    settings.REFRESH_GRACE_SECONDS = 300
    refresh(ann.tokens.refresh)
    rotated_ago(ann, 299)
    assert refresh(ann.tokens.refresh).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_parallel_refreshes_with_one_token_all_succeed(ann: SignIn) -> None:
    answers = in_parallel(lambda _: refresh(ann.tokens.refresh), count=4)
    assert [answer.status_code for answer in answers] == [200] * 4
    bodies = [wire.decode(answer) for answer in answers]
    assert {claims(body["access_token"])["sid"] for body in bodies} == {str(ann.session.pk)}
    assert len({body["refresh_token"] for body in bodies}) == 4
    assert all(refresh(body["refresh_token"]).status_code == 200 for body in bodies)


@pytest.mark.django_db(transaction=True)
def test_parallel_uses_of_a_stolen_token_are_all_refused(ann: SignIn) -> None:
    refresh(ann.tokens.refresh)
    rotated_ago(ann, 31)
    answers = in_parallel(lambda _: refresh(ann.tokens.refresh), count=4)
    assert [answer.status_code for answer in answers] == [401] * 4
    assert RefreshToken.objects.filter(session=ann.session).count() == 2


def test_an_unknown_link_of_a_live_session_is_refused(ann: SignIn) -> None:
    RefreshToken.objects.all().delete()
    wire.check_refusal(refresh(ann.tokens.refresh), 401, "token_invalid")


def test_a_refresh_after_logout_is_refused(ann: SignIn) -> None:
    session_logout(session=ann.session)
    wire.check_refusal(refresh(ann.tokens.refresh), 401, "token_invalid")


def test_a_disabled_user_gets_no_new_pair(ann: SignIn) -> None:
    ann.user.is_active = False
    ann.user.save()
    wire.check_refusal(refresh(ann.tokens.refresh), 401, "token_invalid")


def test_an_access_token_is_no_refresh_token(ann: SignIn) -> None:
    wire.check_refusal(refresh(ann.tokens.access), 401, "token_invalid")
    assert Session.objects.get().revoked_at is None


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "...", "ä", "\ud800", "\u0130" * 4096, 7, 1e300])
@pytest.mark.django_db
def test_what_is_no_token_never_breaks_anything(token: Any) -> None:
    response = refresh(token)
    if response.status_code == 401:
        wire.check_refusal(response, 401, "token_invalid")
    else:
        assert wire.field_codes(response) == {"refresh_token": "invalid"}


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "null"),
        ("", "blank"),
        (["x"], "invalid"),
        ({"x": []}, "invalid"),
        (True, "invalid"),
        ("x" * 4097, "max_length"),
    ],
)
@pytest.mark.django_db
def test_a_bad_field_is_named_with_a_known_code(token: Any, code: str) -> None:
    assert wire.field_codes(refresh(token)) == {"refresh_token": code}


@pytest.mark.django_db
def test_a_missing_field_is_named() -> None:
    assert wire.field_codes(APIClient().post("/api/v1/auth/refresh", {})) == {"refresh_token": "required"}


def test_tokens_differ_between_users(sign_up: Callable[[str], SignIn]) -> None:
    ann, ben = sign_up("ann"), sign_up("ben")
    assert wire.decode(refresh(ben.tokens.refresh))["user"]["username"] == "ben"
    assert wire.decode(refresh(ann.tokens.refresh))["user"]["username"] == "ann"
