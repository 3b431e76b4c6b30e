"""The pages that links in mails open: on a phone, without a script, with CSRF."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import OneTimeToken, User
from accounts.recovery import password_forgotten
from accounts.services import SignIn
from accounts.tests import mailbox
from conftest import PASSWORD

NEW = "Another-Horse-8"
PAGES = ["/verify-email", "/reset-password"]
XSS = '"><script>alert(1)</script>'


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def verifying(sign_up: Callable[..., SignIn]) -> mailbox.Letter:
    sign_up("cleo")
    return mailbox.newest("cleo@example.org")


@pytest.fixture
def resetting(sign_up: Callable[..., SignIn]) -> mailbox.Letter:
    sign_up("cleo")
    password_forgotten(address="cleo@example.org")
    [_, message] = mailbox.deliver()
    return mailbox.read(message)


def html(response: HttpResponse) -> str:
    assert response["Content-Type"] == "text/html; charset=utf-8"
    text = response.content.decode()
    assert "<script" not in text
    return text


def form(page: str) -> dict[str, str]:
    """The hidden fields of the page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def follow(browser: Client, letter: mailbox.Letter) -> str:
    url = urlsplit(letter.url)
    response = browser.get(f"{url.path}?{url.query}")
    assert response.status_code == 200
    return html(response)


def send(browser: Client, path: str, **fields: str) -> HttpResponse:
    return browser.post(path, fields)


def test_the_address_is_verified_by_the_button_and_not_by_the_link(browser: Client, verifying: mailbox.Letter) -> None:
    page = follow(browser, verifying)
    follow(browser, verifying)
    assert not User.objects.get().is_verified
    response = send(browser, "/verify-email", **form(page))
    assert response.status_code == 200
    assert "is verified" in html(response)
    assert User.objects.get().is_verified


def test_a_new_password_by_link(browser: Client, resetting: mailbox.Letter) -> None:
    page = follow(browser, resetting)
    response = send(browser, "/reset-password", **form(page), new_password=NEW, repeated=NEW)
    assert response.status_code == 200
    text = html(response)
    assert "The password of cleo is set" in text
    assert NEW not in text
    user = User.objects.get()
    assert user.check_password(NEW)
    assert user.sessions.get().revoked_reason == "password"


@pytest.mark.parametrize(
    ("password", "repeated", "text"),
    [
        (NEW, "Another-Horse-9", "The two passwords are not the same."),
        (NEW, "", "This field is required."),
        ("", "", "This field is required."),
        ("Short-7", "Short-7", "at least 8 characters"),
        ("Aa1" + "x" * 126, "Aa1" + "x" * 126, "at most 128 characters"),
        ("no-capitals-7", "no-capitals-7", "one upper-case letter"),
        ("Password123", "Password123", "too common"),
        ("x-Cleo-x-7", "x-Cleo-x-7", "must not contain your username"),
    ],
)
def test_a_password_that_will_not_do_is_told_and_the_form_works_again(
    password: str, repeated: str, text: str, browser: Client, resetting: mailbox.Letter
) -> None:
    fields = form(follow(browser, resetting))
    response = send(browser, "/reset-password", **fields, new_password=password, repeated=repeated)
    assert response.status_code == 422
    page = html(response)
    assert text in page
    assert password not in page or not password
    assert User.objects.get().check_password(PASSWORD)
    response = send(browser, "/reset-password", **form(page), new_password=NEW, repeated=NEW)
    assert response.status_code == 200


def test_blanks_around_a_password_are_kept(browser: Client, resetting: mailbox.Letter) -> None:
    fields = form(follow(browser, resetting))
    send(browser, "/reset-password", **fields, new_password=f" {NEW} ", repeated=f" {NEW} ")
    assert User.objects.get().check_password(f" {NEW} ")


@pytest.mark.parametrize("name", ["verifying", "resetting"])
@pytest.mark.parametrize("how", ["used", "expired", "wrong", "code"])
def test_a_link_that_is_no_good_is_told_so(
    name: str, how: str, browser: Client, request: pytest.FixtureRequest
) -> None:
    letter = request.getfixturevalue(name)
    path = urlsplit(letter.url).path
    fields = form(follow(browser, letter)) | {"new_password": NEW, "repeated": NEW}
    if how == "used":
        send(browser, path, **fields)
    elif how == "expired":
        OneTimeToken.objects.update(link_expires_at="2001-01-01T00:00:00Z")
    else:
        fields["token"] = letter.code if how == "code" else "wrong"
    response = send(browser, path, **fields)
    assert response.status_code == 400
    assert "not valid any more" in html(response)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_without_a_token_the_page_says_so_and_has_no_form(path: str, browser: Client) -> None:
    page = html(browser.get(path))
    assert "not complete" in page
    assert "<form" not in page


@pytest.mark.parametrize("name", ["verifying", "resetting"])
def test_a_foreign_site_can_not_press_the_button(name: str, browser: Client, request: pytest.FixtureRequest) -> None:
    letter = request.getfixturevalue(name)
    path = urlsplit(letter.url).path
    fields = {"token": letter.token, "new_password": NEW, "repeated": NEW}
    assert send(browser, path, **fields).status_code == 403
    fields |= form(follow(browser, letter))
    assert browser.post(path, fields, headers={"Origin": "https://evil.example"}).status_code == 403
    user = User.objects.get()
    assert not user.is_verified
    assert user.check_password(PASSWORD)


def test_the_button_works_as_browsers_press_it(browser: Client, verifying: mailbox.Letter) -> None:
    """With a referrer policy of no-referrer they would send `Origin: null`, which CSRF protection refuses."""
    fields = form(follow(browser, verifying))
    assert browser.post("/verify-email", fields, headers={"Origin": "null"}).status_code == 403
    assert browser.get("/verify-email")["Referrer-Policy"] == "strict-origin"
    assert browser.post("/verify-email", fields, headers={"Origin": "http://testserver"}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_the_headers_keep_the_token_where_it_is(path: str, browser: Client) -> None:
    for response in (browser.get(f"{path}?token=x"), browser.post(path)):
        policy = response["Content-Security-Policy"]
        assert "script-src" not in policy
        for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert part in policy
        assert "no-store" in response["Cache-Control"]
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
    assert browser.get(f"{path}?token=x")["Referrer-Policy"] == "strict-origin"


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_methods_and_slashes(path: str, browser: Client) -> None:
    head = browser.head(f"{path}/?token=x")
    assert (head.status_code, head.content) == (200, b"")
    assert browser.get(f"{path}/").status_code == 200
    for method in ("put", "delete", "patch", "options"):
        response = getattr(Client(), method)(path)
        assert (response.status_code, response["Allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("token", [XSS, "\0", "\ud7ff", "x" * 5000, "%ff", "é", "<b>"])
def test_whatever_the_token_it_is_text(path: str, token: str) -> None:
    browser = Client()
    page = html(browser.get(path, {"token": token}))
    assert "<b>" not in page
    response = browser.post(path, {"token": token, "new_password": NEW, "repeated": NEW})
    assert response.status_code == 400
    assert "alert(1)</" not in html(response)


def test_tries_are_limited(browser: Client, verifying: mailbox.Letter, settings: Any) -> None:
    settings.THROTTLE_SCALE, settings.RATE_LIMITS = 1, {**settings.RATE_LIMITS, "auth_address": (1, 60)}
    fields = form(follow(browser, verifying))
    assert send(browser, "/verify-email", **{**fields, "token": "wrong"}).status_code == 400
    response = send(browser, "/verify-email", **fields)
    assert response.status_code == 429
    page = html(response)
    assert "wait a minute" in page
    assert form(page)["token"] == verifying.token
    response = send(browser, "/reset-password", **fields, new_password=NEW, repeated=NEW)
    assert response.status_code == 429
    assert "wait a minute" in html(response)


def test_the_token_is_in_no_log(
    browser: Client, resetting: mailbox.Letter, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        fields = form(follow(browser, resetting))
        send(browser, "/reset-password", token=resetting.token)  # refused: no CSRF token
        send(browser, "/reset-password", **fields, new_password="weak-one-7", repeated="weak-one-7")
        send(browser, "/reset-password", **fields, new_password=NEW, repeated=NEW)
        send(browser, "/reset-password", **fields, new_password=NEW, repeated=NEW)
    logged = caplog.text + capsys.readouterr().err
    assert "password_reset" in logged
    for secret in (resetting.token, resetting.code, NEW, "weak-one-7"):
        assert secret not in logged
