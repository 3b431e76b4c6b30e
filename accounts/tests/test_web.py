"""`/web/*`: signing in from a browser, with the refresh token in a cookie that no script can read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.api.urls import urlpatterns
from accounts.models import RefreshToken, Session
from accounts.services import Device, SignIn, user_login
from accounts.tests.browser import NAME, browser, check_signed_in, cookie, is_cleared, me, post
from accounts.tokens import AccessToken, RefreshJWT, parse_token
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel

LOGIN = {"username_or_email": "ann", "password": PASSWORD}
NEW_PASSWORD = "Another-Horse-8"
ROUTES = ["register", "login", "google", "refresh", "logout", "change-password"]


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_answers_to_post_alone_with_and_without_the_slash(ann: SignIn, route: str) -> None:
    client = browser(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    plain, slashed = (post(client, f"{route}{slash}", {"all": 7, "token": 7}) for slash in ("", "/"))
    assert (plain.status_code, wire.decode(plain)["code"]) == (slashed.status_code, wire.decode(slashed)["code"])
    assert plain.status_code != 404
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        refused = client.generic(method, f"/api/v1/web/{route}")
        wire.check_refusal(refused, 405, "method_not_allowed")
        assert refused["Allow"] == "POST, OPTIONS"


def test_the_table_above_names_every_route() -> None:
    patterns = [str(pattern.pattern) for pattern in urlpatterns]
    assert [name for name in patterns if name.startswith("^web/")] == [f"^web/{route}/?$" for route in ROUTES]


# --- Signing in


@pytest.mark.django_db
def test_signing_up_signs_the_browser_in() -> None:
    form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
    response = post(browser(), "register", form)
    body = check_signed_in(response, 201, wire.USER | wire.CAMEL_USER | {"message": wire.text})
    assert body["username"] == "ann"


def test_signing_in_is_as_for_phones_with_the_refresh_token_in_the_cookie(ann: SignIn) -> None:
    response = post(browser(HTTP_USER_AGENT="Firefox"), "login", LOGIN)
    body = check_signed_in(response)
    assert (body["user"]["username"], body["refresh_expires_in"]) == ("ann", 604800)
    session = parse_token(AccessToken, body["access_token"]).session_id
    assert Session.objects.get(pk=session).user_agent == "Firefox"


@pytest.mark.parametrize("debug", [True, False])
def test_the_cookie_is_for_no_script_no_other_site_and_no_other_route(ann: SignIn, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    morsel = cookie(post(browser(), "login", LOGIN))
    assert morsel["httponly"] is True
    assert (morsel["samesite"], morsel["path"], morsel["max-age"]) == ("Strict", "/api/v1/web", 604800)
    assert morsel["domain"] == ""
    assert bool(morsel["secure"]) is not debug


@pytest.mark.parametrize(
    ("route", "body", "status", "code"),
    [
        ("login", {**LOGIN, "password": "wrong"}, 401, "invalid_credentials"),
        ("register", {"username": "ann", "email": "x@example.org", "password": PASSWORD}, 409, "username_taken"),
        ("google", {"id_token": "x"}, 503, "google_not_configured"),
    ],
)
def test_a_refusal_is_that_of_phones_and_leaves_the_cookie_alone(
    ann: SignIn, route: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = post(browser(ann.tokens.refresh), route, body)
    wire.check_refusal(response, status, code)
    assert NAME not in response.cookies


# --- Whose requests are taken


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_X_DEVPOCKET_WEB": ""},
        {"HTTP_X_DEVPOCKET_WEB": "0"},
        {"HTTP_ORIGIN": "https://evil.example.com"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "https://testserver"},
        {"HTTP_ORIGIN": "http://testserver.evil.example.com"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "http://testserver"},
    ],
)
def test_another_sites_request_is_refused_and_does_nothing(ann: SignIn, route: str, headers: dict[str, str]) -> None:
    client = browser(ann.tokens.refresh, HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    body = {**LOGIN, "username": "eve", "email": "eve@example.org", "id_token": "x"}
    body |= {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = post(client, route, body, **headers)
    wire.check_refusal(response, 403, "permission_denied")
    assert NAME not in response.cookies
    assert RefreshToken.objects.get().rotated_at is None  # nobody signed in, up or out, and nothing was traded
    assert me(ann.tokens.access).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_ORIGIN": "http://testserver", "HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_ORIGIN": "https://devpocket.example.org"},  # where a proxy has told us another Host
        {"HTTP_SEC_FETCH_SITE": "none"},
    ],
)
def test_our_own_pages_requests_are_taken(ann: SignIn, settings: Any, headers: dict[str, str]) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://devpocket.example.org"]
    assert post(browser(ann.tokens.refresh), "refresh", **headers).status_code == 200


def test_an_allowed_origin_of_the_api_can_neither_ask_nor_read(ann: SignIn, settings: Any) -> None:
    app = "https://app.example.org"
    settings.CORS_ALLOWED_ORIGINS = [app]
    asked = browser().options(
        "/api/v1/web/refresh",
        HTTP_ORIGIN=app,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x-devpocket-web",
    )
    assert "x-devpocket-web" not in asked["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked
    wire.check_refusal(post(browser(ann.tokens.refresh), "refresh", HTTP_ORIGIN=app), 403, "permission_denied")


def test_the_cookie_is_good_for_nothing_else(ann: SignIn) -> None:
    client = browser(ann.tokens.refresh)
    wire.check_refusal(client.get("/api/v1/auth/me"), 401, "not_authenticated")
    wire.check_refusal(client.post("/api/v1/ws/tickets"), 401, "not_authenticated")
    assert wire.field_codes(client.post("/api/v1/auth/refresh", {})) == {"refresh_token": "required"}
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    wire.check_refusal(post(client, "change-password", body), 401, "not_authenticated")


# --- Staying signed in


def test_a_refresh_replaces_the_cookie(ann: SignIn) -> None:
    tab = browser(ann.tokens.refresh)
    seen = {ann.tokens.refresh}
    for _ in range(3):
        response = post(tab, "refresh")
        check_signed_in(response)
        seen.add(cookie(response).value)
    assert len(seen) == 4
    assert Session.objects.count() == 1


@pytest.mark.parametrize("body", [{}, {"refresh_token": "x"}])
def test_a_refresh_takes_its_token_from_nowhere_else(ann: SignIn, body: dict[str, str]) -> None:
    check_signed_in(post(browser(ann.tokens.refresh), "refresh", body))
    wire.check_refusal(post(browser(), "refresh", {"refresh_token": ann.tokens.refresh}), 401, "not_authenticated")


@pytest.mark.django_db(transaction=True)
def test_two_tabs_may_refresh_at_once(ann: SignIn) -> None:
    answers = in_parallel(lambda _: post(browser(ann.tokens.refresh), "refresh"), count=2)
    for answer in answers:
        check_signed_in(answer)
        check_signed_in(post(browser(cookie(answer).value), "refresh"))
    assert Session.objects.count() == 1


def test_a_cookie_that_was_stolen_ends_the_session(ann: SignIn) -> None:
    newest = cookie(post(browser(ann.tokens.refresh), "refresh")).value
    RefreshToken.objects.filter(jti=ann.tokens.refresh_jti).update(rotated_at=timezone.now() - timedelta(seconds=31))
    for token in (ann.tokens.refresh, newest):
        response = post(browser(token), "refresh")
        wire.check_refusal(response, 401, "token_invalid")
        assert is_cleared(response)
    assert Session.objects.get().revoked_reason == "reuse"


def expired(sign_in: SignIn) -> str:
    token = RefreshJWT(sign_in.tokens.refresh)  # type: ignore[arg-type]
    token.set_exp(lifetime=-timedelta(days=1))
    return str(token)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (lambda ann: expired(ann), "token_expired"),
        (lambda ann: ann.tokens.access, "token_invalid"),
        (lambda ann: "garbage", "token_invalid"),
        (lambda ann: "", "not_authenticated"),
    ],
)
def test_a_cookie_that_is_worth_nothing_is_refused_and_cleared(
    ann: SignIn, token: Callable[[SignIn], str], code: str
) -> None:
    response = post(browser(token(ann)), "refresh")
    wire.check_refusal(response, 401, code)
    assert response["WWW-Authenticate"] == "Bearer"
    assert is_cleared(response)


@pytest.mark.parametrize("away", ["accounts.selectors.live_session", "accounts.services.session_refresh"])
def test_while_the_database_is_away_the_cookie_is_kept(ann: SignIn, away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise OperationalError("terminating connection")

    monkeypatch.setattr(away, fails)
    response = post(browser(ann.tokens.refresh), "refresh")
    wire.check_refusal(response, 503, "service_unavailable")
    assert NAME not in response.cookies
    monkeypatch.undo()
    assert post(browser(ann.tokens.refresh), "refresh").status_code == 200


def test_changing_the_password_signs_out_everybody_but_this_browser(ann: SignIn) -> None:
    phone = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    tab = browser(ann.tokens.refresh, HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    response = post(tab, "change-password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    check_signed_in(response, more={"message": wire.text})
    check_signed_in(post(tab, "refresh"))
    for gone in (ann, phone):
        wire.check_refusal(me(gone.tokens.access), 401, "token_invalid")
        wire.check_refusal(post(browser(gone.tokens.refresh), "refresh"), 401, "token_invalid")


def test_a_refused_change_of_the_password_changes_nothing(ann: SignIn) -> None:
    tab = browser(ann.tokens.refresh, HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    response = post(tab, "change-password", {"current_password": "wrong", "new_password": NEW_PASSWORD})
    assert wire.field_codes(response) == {"current_password": "invalid"}
    assert NAME not in response.cookies
    assert post(tab, "refresh").status_code == 200


# --- Signing out


@pytest.mark.parametrize("body", [None, {}, {"all": False}])
def test_signing_out_ends_the_session_and_clears_the_cookie(ann: SignIn, body: dict[str, Any] | None) -> None:
    phone = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    response = post(browser(ann.tokens.refresh), "logout", body)  # without an access token: it may have run out
    assert response.status_code == 200
    wire.check(wire.decode(response), {"message": wire.text})
    assert is_cleared(response)
    wire.check_refusal(me(ann.tokens.access), 401, "token_invalid")
    assert me(phone.tokens.access).status_code == 200


def test_signing_out_everywhere(ann: SignIn, ben: SignIn) -> None:
    phone = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    assert is_cleared(post(browser(ann.tokens.refresh), "logout", {"all": True}))
    wire.check_refusal(me(phone.tokens.access), 401, "token_invalid")
    assert me(ben.tokens.access).status_code == 200


@pytest.mark.parametrize("token", [lambda ann: "", lambda ann: "garbage", expired, lambda ann: ann.tokens.access])
def test_a_cookie_that_is_worth_nothing_goes_all_the_same_and_ends_nothing(
    ann: SignIn, token: Callable[[SignIn], str]
) -> None:
    response = post(browser(token(ann)), "logout", {"all": True})
    assert response.status_code == 200
    assert is_cleared(response)
    assert me(ann.tokens.access).status_code == 200


def test_the_cookie_of_a_session_that_has_ended_ends_no_other(ann: SignIn) -> None:
    post(browser(ann.tokens.refresh), "logout")
    newer = user_login(name_or_email="ann", password=PASSWORD, device=Device())
    response = post(browser(ann.tokens.refresh), "logout", {"all": True})
    assert (response.status_code, is_cleared(response)) == (200, True)
    assert me(newer.tokens.access).status_code == 200


def test_a_cookie_that_was_traded_already_still_signs_out(ann: SignIn) -> None:
    newest = cookie(post(browser(ann.tokens.refresh), "refresh")).value
    post(browser(ann.tokens.refresh), "logout")
    wire.check_refusal(post(browser(newest), "refresh"), 401, "token_invalid")


def test_who_cant_be_signed_out_now_may_try_again(ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise OperationalError("terminating connection")

    monkeypatch.setattr("accounts.services.session_logout", fails)
    response = post(browser(ann.tokens.refresh), "logout")
    wire.check_refusal(response, 503, "service_unavailable")
    assert NAME not in response.cookies
    monkeypatch.undo()
    assert is_cleared(post(browser(ann.tokens.refresh), "logout"))
    wire.check_refusal(me(ann.tokens.access), 401, "token_invalid")


def test_a_bad_field_is_named_and_nobody_is_signed_out(ann: SignIn) -> None:
    response = post(browser(ann.tokens.refresh), "logout", {"all": "perhaps"})
    assert wire.field_codes(response) == {"all": "invalid"}
    assert NAME not in response.cookies
    assert me(ann.tokens.access).status_code == 200


# --- Limits and logs


def remaining(response: Response) -> int:
    return int(response["X-RateLimit-Remaining"])


def test_refreshes_are_counted_by_session_with_those_of_phones(ann: SignIn, ben: SignIn, settings: Any) -> None:
    settings.THROTTLE_SCALE = 1
    tab = browser(ann.tokens.refresh)
    assert [remaining(post(tab, "refresh")) for _ in range(2)] == [29, 28]
    phone = APIClient().post("/api/v1/auth/refresh", {"refresh_token": ann.tokens.refresh})
    assert remaining(phone) == 27
    assert remaining(post(browser(ben.tokens.refresh), "refresh")) == 29
    assert [remaining(post(browser(), "refresh")) for _ in range(2)] == [29, 28]  # by address
    statuses = [post(tab, "refresh").status_code for _ in range(28)]
    assert statuses == [200] * 27 + [429]


def test_a_browsers_tries_and_a_phones_are_counted_together(ann: SignIn, settings: Any) -> None:
    settings.THROTTLE_SCALE = 1
    wrong = {**LOGIN, "password": "wrong"}
    for _ in range(2):
        post(browser(), "login", wrong)
        APIClient().post("/api/v1/auth/login", wrong)
    assert remaining(post(browser(), "login", LOGIN)) == 0
    wire.check_refusal(post(browser(), "login", LOGIN), 429, "rate_limited")


def test_no_token_is_in_the_log(ann: SignIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tab = browser(ann.tokens.refresh)
    answers = [post(tab, "refresh"), post(tab, "login", LOGIN)]
    tokens = [ann.tokens.refresh, *(cookie(answer).value for answer in answers)]
    tokens += [wire.decode(answer)["access_token"] for answer in answers]
    post(tab, "logout")
    post(browser("garbage-in-a-cookie"), "refresh")
    assert "/api/v1/web/refresh" in caplog.text
    for token in [*tokens, "garbage-in-a-cookie"]:
        assert token not in caplog.text
