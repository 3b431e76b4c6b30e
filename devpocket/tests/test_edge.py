"""What every answer carries: request id, security headers; and trailing slashes, hosts and methods (contract 1, 10)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.test import APIClient

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.middleware import _in_our_shape
from devpocket.tests import wire
from templates_catalog.tests.catalogue import offer_templates

PATHS = ["/health/live", "/api/v1/health/live", "/api/v1/auth/me", "/api/v1/nothing", "/nothing"]


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.django_db
def test_a_request_id_is_echoed(path: str, given: str) -> None:
    assert APIClient(HTTP_X_REQUEST_ID=given).get(path)["X-Request-ID"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\tb", "ä", "a\n", "<script>", "a,b"])
@pytest.mark.django_db
def test_an_odd_request_id_is_replaced(given: str | None) -> None:
    headers = {} if given is None else {"HTTP_X_REQUEST_ID": given}
    response = APIClient(**headers).get("/api/v1/nothing")
    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])
    assert wire.decode(response)["request_id"] == response["X-Request-ID"]


@pytest.mark.django_db
def test_each_request_has_an_id_of_its_own() -> None:
    client = APIClient()
    assert client.get("/health/live")["X-Request-ID"] != client.get("/health/live")["X-Request-ID"]


GET_ROUTES = ["/auth/me", "/auth/profile", "/templates", "/templates/python", "/templates/absent", "/health/live"]


@pytest.mark.parametrize("route", GET_ROUTES)
def test_reading_is_the_same_with_and_without_slash(
    ann: SignIn, client_of: Callable[[SignIn], APIClient], route: str
) -> None:
    offer_templates()
    client = client_of(ann)
    plain, slashed = client.get(f"/api/v1{route}"), client.get(f"/api/v1{route}/")
    assert plain.status_code == slashed.status_code
    assert plain.status_code == (404 if "absent" in route else 200)
    without_what_changes = [
        {name: value for name, value in one.items() if name not in ("timestamp", "path", "request_id")}
        if isinstance(one, dict)
        else one
        for one in (wire.decode(plain), wire.decode(slashed))
    ]
    assert without_what_changes[0] == without_what_changes[1]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.django_db
def test_writing_is_the_same_with_and_without_slash(slash: str) -> None:
    def post(path: str, body: dict[str, str], **headers: str) -> Any:
        return APIClient(**headers).post(f"/api/v1/auth/{path}{slash}", body)

    assert post("register", {"username": "ann", "email": "a@example.org", "password": PASSWORD}).status_code == 201
    signed_in = post("login", {"username_or_email": "ann", "password": PASSWORD})
    assert signed_in.status_code == 200
    tokens = wire.decode(signed_in)
    assert post("refresh", {"refresh_token": tokens["refresh_token"]}).status_code == 200
    assert post("logout", {}, HTTP_AUTHORIZATION=f"Bearer {tokens['access_token']}").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/templates", "/health/live"])
def test_head_is_get_without_the_body(ann: SignIn, client_of: Callable[[SignIn], APIClient], path: str) -> None:
    response = client_of(ann).head(path)
    assert response.status_code == 200
    assert response.content == b""
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/auth/login", "/api/v1/templates", "/health/live"])
def test_options_tells_the_methods(ann: SignIn, client_of: Callable[[SignIn], APIClient], path: str) -> None:
    response = client_of(ann).options(path)
    assert response.status_code == 200
    wire.decode(response)


@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/nothing", "/nothing", "/admin/login/", "/docs"])
def test_an_unknown_host_is_refused(db: None, settings: Any, path: str) -> None:
    settings.ALLOWED_HOSTS = ["api.example.org"]
    body = wire.check_refusal(APIClient(HTTP_HOST="evil.example.com").get(path), 400, "invalid_input")
    assert body["path"] == path
    assert APIClient(HTTP_HOST="api.example.org").get("/api/v1/nothing").status_code == 404


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "evil.example.com", "a b"])
def test_health_probes_may_use_any_name(db: None, settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["api.example.org"]
    assert APIClient(HTTP_HOST=host).get("/health/live").status_code == 200


def test_the_access_log_leaves_out_the_query(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="devpocket.access"):
        APIClient().get("/api/v1/nothing?token=hunter2")
    (record,) = [record for record in caplog.records if record.name == "devpocket.access"]
    assert isinstance(record.msg, dict)
    assert record.msg["path"] == "/api/v1/nothing"
    assert record.msg["status"] == 404
    assert "hunter2" not in caplog.text


def test_health_probes_do_not_fill_the_log(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="devpocket.access"):
        for path in ("/health/live", "/api/v1/health/live/"):
            assert APIClient().get(path).status_code == 200
    assert [record for record in caplog.records if record.name == "devpocket.access"] == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_input"), (403, "permission_denied"), (405, "method_not_allowed"), (500, "internal_error")],
)
def test_a_page_of_djangos_own_is_put_in_our_shape(status: int, code: str) -> None:
    request = RequestFactory().get("/api/v1/x")
    request.request_id = "r"  # type: ignore[attr-defined]
    response = _in_our_shape(request, HttpResponse("<h1>secret</h1>", status=status, headers={"Allow": "GET"}))
    assert (response.status_code, response["Allow"]) == (status, "GET")
    assert wire.decode(response)["code"] == code
    assert b"secret" not in response.content
