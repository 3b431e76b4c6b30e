"""The web client as it is served: its page, service worker and files, of a small build made here and the real one."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from devpocket import security_headers
from devpocket.tests import wire

PAGE = b'<!doctype html><script type="module" src="/static/web/assets/app-1f3e.js"></script>'
WORKER = b"self.addEventListener('fetch', () => {})"
SCRIPT = b"console.log('x')\n" * 100
BROTLI = b"what the build has put there"  # the smallest of the three is sent
ADDRESSES = [
    *("/", "/sign-in", "/sign-up", "/verify", "/forgot", "/google", "/new", "/t", "/settings", "/settings/keys"),
    *("/machines/6f1f7f0e-3b0a-4a3e-9d54-0c1b6c4f9a10", "/machines/6f1f7f0e/terminal", "/machines/6f1f7f0e/logs"),
    *("/sign-in/", "/settings/", "/machines/6f1f7f0e/"),
]
NO_ADDRESSES = [
    *("/machines", "/machines/", "/machines/a/b/c", "/machines/a%0A", "/settings/a/b", "/t/x", "/sign-in/x"),
    *("/sign-in%0A", "/Sign-In", "/index.html", "/sw.js/", "/sw.js%0A", "/new2"),
]


@pytest.fixture
def dist(tmp_path: Path, settings: Any) -> Path:
    """A build, small and with all kinds of files that ours has."""
    directory = tmp_path / "dist"
    (directory / "assets").mkdir(parents=True)
    files = {
        "index.html": PAGE,
        "sw.js": WORKER,
        "manifest.webmanifest": b'{"name": "DevPocket"}',
        "assets/app-1f3e.js": SCRIPT,
        "assets/app-1f3e.js.br": BROTLI,
        "assets/app-1f3e.js.gz": gzip.compress(SCRIPT),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    settings.WEB_CLIENT, settings.STATICFILES_DIRS = directory, [("web", directory)]
    return directory


@pytest.fixture(params=["development", "production"])
def static(request: pytest.FixtureRequest, dist: Path, settings: Any, tmp_path: Path, db: None) -> Callable[..., Any]:
    """static("app.js", "gzip"): the answer for a file of the build, its body read."""
    if request.param == "production":
        settings.STATIC_ROOT = tmp_path / "static"
        settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = False
        settings.WHITENOISE_MAX_AGE = 60
        call_command("collectstatic", interactive=False, verbosity=0)
    client = Client()

    def get(name: str, accept_encoding: str = "") -> Any:
        response = client.get(f"/static/web/{name}", HTTP_ACCEPT_ENCODING=accept_encoding)
        response.body = b"".join(response.streaming_content) if response.streaming else response.content
        response.close()
        return response

    return get


@pytest.mark.parametrize("path", ADDRESSES)
def test_the_page_is_at_every_address_of_the_client(dist: Path, path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response.content) == (200, PAGE)
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["Cache-Control"] == "no-cache"
    assert response["Content-Security-Policy"] == security_headers.WEB
    assert response["X-Frame-Options"] == "DENY"
    assert "set-cookie" not in response.headers
    assert not response.cookies


@pytest.mark.parametrize("path", NO_ADDRESSES)
def test_every_other_address_is_the_apis_404(dist: Path, path: str) -> None:
    response = APIClient().get(path)
    wire.check_refusal(response, 404, "not_found")
    assert response["Content-Security-Policy"] == security_headers.DATA


def test_the_service_worker_is_at_the_root(dist: Path) -> None:
    response = Client().get("/sw.js")
    assert (response.status_code, response.content) == (200, WORKER)
    assert response["Content-Type"] == "text/javascript; charset=utf-8"
    assert response["Cache-Control"] == "no-cache"
    assert response["Content-Security-Policy"] == security_headers.WEB


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in security_headers.WEB.split("; "))
    assert policy.pop("img-src") == "'self' data:"
    for name in ("default-src", "base-uri", "frame-ancestors"):
        assert policy.pop(name) == "'none'"
    assert set(policy.values()) == {"'self'"}


@pytest.mark.parametrize("path", ["/", "/sw.js"])
def test_who_has_it_is_told_so_until_it_changes(dist: Path, path: str) -> None:
    first = Client().get(path)
    again = Client().get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (again["ETag"], again["Cache-Control"]) == (first["ETag"], "no-cache")
    (dist / "index.html").write_bytes(b"new")
    (dist / "sw.js").write_bytes(b"new")
    changed = Client().get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (changed.status_code, changed.content) == (200, b"new")
    assert changed["ETag"] != first["ETag"]


@pytest.mark.parametrize("path", ["/", "/sw.js"])
def test_only_reading_is_allowed(dist: Path, path: str) -> None:
    head = Client().head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == Client().get(path)["Content-Length"]
    refused = Client(enforce_csrf_checks=True).post(path)
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_without_a_build_the_page_says_how_to_make_one_and_the_api_runs(tmp_path: Path, settings: Any) -> None:
    settings.WEB_CLIENT = tmp_path / "none"
    for path in ("/", "/sign-in", "/sw.js"):
        response = Client().get(path)
        assert (response.status_code, response["Content-Type"]) == (503, "text/plain; charset=utf-8")
        assert b"make web" in response.content
        assert response["Cache-Control"] == "no-store"
    assert APIClient().get("/api/v1/info").status_code == 200


def test_the_page_costs_no_session(dist: Path, db: None) -> None:
    client = Client()
    assert not hasattr(client.get("/").wsgi_request, "session")
    assert not hasattr(client.get("/sw.js").wsgi_request, "session")
    assert hasattr(client.get("/admin/login/").wsgi_request, "session")


@pytest.mark.parametrize(("accepted", "sent"), [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("", None)])
def test_files_are_sent_as_small_as_the_browser_takes_them(
    static: Callable[..., Any], accepted: str, sent: str | None
) -> None:
    response = static("assets/app-1f3e.js", accepted)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/javascript")
    assert response.headers.get("Content-Encoding") == sent
    assert "Accept-Encoding" in response["Vary"]
    assert {"br": BROTLI, "gzip": SCRIPT, None: SCRIPT}[sent] == (
        gzip.decompress(response.body) if sent == "gzip" else response.body
    )


def test_only_what_is_named_after_its_content_is_kept_for_good(static: Callable[..., Any]) -> None:
    assert re.fullmatch(r"max-age=\d{8,}, public, immutable", static("assets/app-1f3e.js")["Cache-Control"])
    manifest = static("manifest.webmanifest")
    assert (manifest.status_code, manifest["Content-Type"]) == (200, "application/manifest+json")
    assert re.fullmatch(r"max-age=\d{1,2}, public", manifest["Cache-Control"])


REAL: Path = django_settings.WEB_CLIENT


@pytest.mark.skipif(not (REAL / "index.html").exists(), reason="the web client isn't built (make web)")
def test_the_real_page_needs_nothing_that_its_policy_forbids(db: None) -> None:
    html = Client().get("/").content.decode()
    assert re.findall(r"<(?:script|style)(?![^>]*\bsrc=)[^>]*>(?!</)", html) == []
    assert re.findall(r"<[^>]*\s(?:style|on[a-z]+)=[^>]*>", html) == []
    named = re.findall(r'(?:src|href)="([^"]+)"', html)
    manifest = json.loads((REAL / "manifest.webmanifest").read_text())
    named += [urljoin("/static/web/manifest.webmanifest", icon["src"]) for icon in manifest["icons"]]
    assert any(name.endswith(".js") for name in named)
    for name in named:
        response = Client().get(name, HTTP_ACCEPT_ENCODING="br")
        response.close()
        assert response.status_code == 200, name
        if name.endswith((".js", ".css")):
            is_large = (REAL / name.removeprefix("/static/web/")).stat().st_size >= 512  # as compress.ts has it
            assert (response.headers.get("Content-Encoding") == "br") is is_large, name
            assert "immutable" in response["Cache-Control"], name
            assert name.startswith("/static/web/assets/")
