"""The headers an auditor grades, on every kind of answer, and who may read the API from another origin."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from devpocket import security_headers
from devpocket.tests import wire

CONTRACT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
DATA = "default-src 'none'; frame-ancestors 'none'"
# path: its policy, whether it may be stored.
KINDS = {
    "/api/v1/info": (DATA, False),
    "/api/v1/auth/me": (DATA, False),  # 401
    "/api/v1/nothing": (DATA, False),
    "/nothing": (DATA, False),
    "/api/v1/auth/login": (DATA, False),  # 405
    "/health": (DATA, False),
    "/health/live": (DATA, False),
    "/api/schema": (DATA, False),
    "/static/admin/css/base.css": (DATA, True),
    "/static/absent.css": (DATA, True),
    "/docs": (security_headers.DOCS, True),
    "/docs?script=": (security_headers.DOCS, True),
    "/admin/login/": (security_headers.ADMIN, False),
    "/admin/": (security_headers.ADMIN, False),  # a redirect to the sign-in
    "/verify-email?token=x": (security_headers.FORM, False),
    "/reset-password?token=x": (security_headers.FORM, False),
}


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.django_db
def test_every_kind_of_answer_has_the_security_headers(path: str) -> None:
    policy, may_be_stored = KINDS[path]
    response = Client().get(path)
    response.close()  # a file
    assert {name: response[name] for name in CONTRACT} == CONTRACT
    assert response["Content-Security-Policy"] == policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response["Cross-Origin-Opener-Policy"] == response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]
    assert ("no-store" in response.get("Cache-Control", "")) is not may_be_stored
    assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin"} & set(response.headers)
    # An address that holds a token is told to nobody. ("no-referrer" would make browsers send `Origin: null`.)
    assert response["Referrer-Policy"] == ("strict-origin" if "token" in path else "strict-origin-when-cross-origin")


def _inline(html: str) -> list[str]:
    """What a policy without 'unsafe-inline' keeps a browser from: scripts, styles and handlers in the page itself."""
    found = re.findall(r"<(?:script|style)(?![^>]*\bsrc=)[^>]*>(?!</)", html)
    return found + re.findall(r"<[^>]*\s(?:style|on[a-z]+)=[^>]*>", html)


def test_the_admin_needs_nothing_that_its_policy_forbids(ann: SignIn) -> None:
    boss = User.objects.create_superuser("boss", "boss@example.org", PASSWORD)
    desk = Client()
    pages = [desk.get("/admin/login/")]
    desk.force_login(boss)
    names = ("", "accounts/user/", f"accounts/user/{ann.user.pk}/change/", "environments/environment/")
    pages += [desk.get(f"/admin/{name}") for name in (*names, "templates_catalog/template/add/", "password_change/")]
    for page in pages:
        assert page.status_code == 200, page
        html = page.content.decode()
        assert [tag for tag in _inline(html) if 'type="application/json"' not in tag] == []
        assert re.findall(r'(?:src|href)="(?:https?:)?//', html) == []


def test_the_documentation_needs_nothing_that_its_policy_forbids(db: None) -> None:
    html = Client().get("/docs").content.decode()
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in security_headers.DOCS
    assert [tag for tag in _inline(html) if tag != "<style>"] == []
    assert re.findall(r'(?:src|href)="(?:https?:)?//', html) == []


def test_a_page_from_a_mail_has_its_style_in_a_file(db: None) -> None:
    html = Client().get("/reset-password?token=x").content.decode()
    assert _inline(html) == []
    (style,) = re.findall(r'rel="stylesheet" href="/static/([^"]+)"', html)
    assert finders.find(style)


def test_what_a_view_has_no_part_in_is_the_same(
    client_of: Callable[[SignIn], APIClient], ann: SignIn, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["api.example.org"]
    refused = Client(HTTP_HOST="evil.example.com").get("/api/v1/auth/me")
    settings.ALLOWED_HOSTS = ["*"]
    too_large = client_of(ann).post("/api/v1/auth/logout", {"x": "y" * settings.API_BODY_LIMIT_BYTES})
    for response, status in ((refused, 400), (too_large, 413)):
        wire.check_refusal(response, status, "invalid_input")
        for name, value in security_headers.security_headers("/api/v1/auth/me").items():
            assert response[name] == value


APP = "https://app.example.org"
EXPOSED = {
    "X-Total-Count", "Link", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID",
    "Retry-After", "Location", "X-Applies", "Idempotency-Replayed", "Content-Disposition",
}  # fmt: skip


def test_pages_of_an_allowed_origin_may_call_the_api(
    settings: Any, ann: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]
    asked = Client().options(
        "/api/v1/environments/x",
        HTTP_ORIGIN=APP,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="PATCH",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,idempotency-key",
    )
    assert asked.status_code == 200
    assert asked["Access-Control-Allow-Origin"] == APP
    assert "PATCH" in asked["Access-Control-Allow-Methods"]
    assert {"authorization", "content-type", "idempotency-key", "x-devpocket-status", "x-request-id"} <= set(
        asked["Access-Control-Allow-Headers"].split(", ")
    )
    # Also what the server refuses can be read, by the page that has to tell its user so.
    signed_in = client_of(ann).get("/api/v1/auth/me", HTTP_ORIGIN=APP)
    for answer, status in ((signed_in, 200), (APIClient().get("/api/v1/auth/me", HTTP_ORIGIN=APP), 401)):
        assert answer.status_code == status
        assert answer["Access-Control-Allow-Origin"] == APP
        assert set(answer["Access-Control-Expose-Headers"].split(", ")) == EXPOSED
        assert "Access-Control-Allow-Credentials" not in answer
        assert "origin" in answer["Vary"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{APP}.evil.com", "http://app.example.org", "null"])
def test_pages_of_other_origins_may_not(settings: Any, db: None, origin: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]
    for path in ("/api/v1/info", "/health/live", "/static/admin/css/base.css", "/admin/login/"):
        answer = Client().get(path, HTTP_ORIGIN=origin)
        answer.close()
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer
    assert "Access-Control-Allow-Origin" not in Client().get("/admin/login/", HTTP_ORIGIN=APP)


async def test_a_crash_outside_of_a_view_can_be_read_from_an_allowed_origin(settings: Any, monkeypatch: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]
    client = AsyncClient(raise_request_exception=False)
    monkeypatch.setattr("devpocket.health._passes", lambda *_: 1 / 0)
    answer = await client.get("/health", headers={"Origin": APP})
    wire.check_refusal(answer, 500, "internal_error")
    assert answer["Access-Control-Allow-Origin"] == APP
