"""One shape for every check_refusal (contract 2.2)."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.errors import INTERNAL_ERROR_TEXT, DomainError, InvalidInput, exception_handler, field_errors
from devpocket.tests import wire

LOGIN = "/api/v1/auth/login"


def post(raw: bytes | str, content_type: str = "application/json", **headers: str) -> Response:
    return APIClient().generic("POST", LOGIN, raw, content_type=content_type, **headers)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"7",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"username_or_email": NaN}',
        b'{"username_or_email": -Infinity}',
        b'{"username_or_email": "\xff"}',
        b'{"username_or_email": "\xed\xa0\x80"}',
        b'{"password": 1' + b"0" * 5000 + b"}",
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b'{"a": "\x01"}',
        '{"username_or_email": "ann"}'.encode("utf-16"),
        b" ",
    ],
    ids=lambda raw: raw[:24],
)
@pytest.mark.django_db
def test_what_is_no_json_object_is_malformed(raw: bytes) -> None:
    body = wire.check_refusal(post(raw), 400, "malformed_json")
    assert body["errors"] == []
    assert body["context"] is None
    assert body["path"] == LOGIN


@pytest.mark.parametrize("raw", [b"", b"{}", b'\xef\xbb\xbf{"a": 1}'])
@pytest.mark.django_db
def test_an_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert wire.field_codes(post(raw)) == {"username_or_email": "required", "password": "required"}


@pytest.mark.django_db
def test_a_mebibyte_is_read_and_a_byte_more_is_too_large() -> None:
    fits = b'{"x": "' + b"x" * (1024 * 1024 - 9) + b'"}'
    assert len(fits) == 1024 * 1024
    wire.check_refusal(post(fits), 422, "invalid_input")
    wire.check_refusal(post(fits + b" "), 413, "invalid_input")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "nonsense"],
)
@pytest.mark.django_db
def test_another_content_type_is_refused(content_type: str) -> None:
    wire.check_refusal(post(b'{"a": 1}', content_type), 415, "invalid_input")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_has_several_spellings(ann: SignIn, content_type: str) -> None:
    raw = f'{{"username_or_email": "ann", "password": "{PASSWORD}"}}'
    assert post(raw, content_type).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense"])
@pytest.mark.django_db
def test_the_answer_is_json_whatever_is_asked_for(accept: str) -> None:
    wire.check_refusal(post(b"{", HTTP_ACCEPT=accept), 400, "malformed_json")


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/nothing/", "/api/v1/auth", "/api/v1/auth/me/x"),
        *("/nothing", "/machines", "/api", "/api/v2/templates", "/api/v1//templates", "/API/v1/templates", "/healthy"),
        *("/api/v1/a%0Ab", "/a%0Ab", "/a%00b", "/%ff", "/../etc/passwd", "/api/v1/auth/me%0A"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.django_db
def test_an_unknown_route_is_not_found(path: str, method: str) -> None:
    wire.check_refusal(getattr(APIClient(), method)(path), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/auth/login", "POST, OPTIONS"), ("/auth/register/", "POST, OPTIONS"), ("/auth/refresh", "POST, OPTIONS")],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
@pytest.mark.django_db
def test_a_method_that_a_route_lacks_is_refused(path: str, allowed: str, method: str) -> None:
    response = APIClient().generic(method, f"/api/v1{path}")
    wire.check_refusal(response, 405, "method_not_allowed")
    assert response["Allow"] == allowed


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/auth/me", ["POST", "PUT", "DELETE"]), ("/auth/logout", ["GET", "PUT"]), ("/templates", ["PUT", "DELETE"])],
)
def test_a_method_that_a_users_route_lacks_is_refused(ann: SignIn, path: str, methods: list[str]) -> None:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    for method in methods:
        wire.check_refusal(client.generic(method, f"/api/v1{path}"), 405, "method_not_allowed")
        wire.check_refusal(client.generic(method, f"/api/v1{path}/"), 405, "method_not_allowed")


@pytest.fixture
def broken_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: the login service raises what nobody expects, a secret in its text."""

    def explode(**_arguments: Any) -> None:
        raise RuntimeError("hunter2 in /srv/secret.py")

    monkeypatch.setattr("accounts.services.user_login", explode)


@pytest.mark.usefixtures("db", "broken_login")
def test_a_bug_is_an_internal_error_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    response = post(f'{{"username_or_email": "ann", "password": "{PASSWORD}"}}')
    body = wire.check_refusal(response, 500, "internal_error")
    assert body["detail"] == INTERNAL_ERROR_TEXT
    assert body["context"] is None
    assert b"hunter2" not in response.content
    assert b"RuntimeError" not in response.content

    (record,) = [record for record in caplog.records if record.name == "devpocket.errors"]
    assert record.levelno == logging.ERROR
    assert isinstance(record.msg, dict)
    assert record.msg["event"] == "request_failed"
    assert record.msg["path"] == LOGIN
    assert record.msg["request_id"] == response["X-Request-ID"]
    assert isinstance(record.msg["exc_info"], RuntimeError)
    assert PASSWORD not in caplog.text


def test_a_crash_outside_rest_framework_has_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_arguments: Any) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("devpocket.health.JsonResponse", explode)
    client = APIClient(raise_request_exception=False)
    response = client.get("/health/live")
    assert wire.check_refusal(response, 500, "internal_error")["detail"] == INTERNAL_ERROR_TEXT
    assert b"hunter2" not in response.content


@pytest.mark.django_db
def test_a_refused_sign_up_names_every_field_as_text() -> None:
    response = APIClient().post("/api/v1/auth/register", {"username": "x", "email": 7, "password": {}})
    body = wire.check_refusal(response, 422, "invalid_input")
    assert [error["field"] for error in body["errors"]] == ["username", "email", "password"]


def handled(error: Exception) -> Response:
    request = APIRequestFactory().get("/api/v1/x")
    context = {"request": type("Wrapped", (), {"_request": request})()}
    return exception_handler(error, context)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("secret"), 404, "not_found"),
        (PermissionDenied("secret"), 403, "permission_denied"),
        (drf.PermissionDenied(), 403, "permission_denied"),
        (drf.NotAuthenticated(), 401, "not_authenticated"),
        (drf.ValidationError([]), 422, "invalid_input"),
        (drf.Throttled(wait=0.2), 429, "rate_limited"),
        (drf.APIException(), 500, "internal_error"),
        (drf.NotAcceptable(), 406, "internal_error"),
        (KeyError("secret"), 500, "internal_error"),
        (InvalidInput.field("a.b", "Too odd."), 422, "invalid_input"),
        (DomainError("Wait.", retry_after_s=7), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_libraries_raise_becomes_a_refusal(error: Exception, status: int, code: str) -> None:
    response = handled(error)
    assert (response.status_code, response.data["code"]) == (status, code)
    assert "secret" not in str(response.data)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    if "retry_after" in response.data:
        assert response.headers["Retry-After"] == str(response.data["retry_after"])


@pytest.mark.parametrize(("wait", "told"), [(0.2, 1), (1, 1), (1.001, 2), (59.5, 60)])
def test_the_wait_is_rounded_up(wait: float, told: int) -> None:
    assert handled(drf.Throttled(wait=wait)).data["retry_after"] == told


def detail(text: str = "This field is required.", code: str = "required") -> drf.ErrorDetail:
    return drf.ErrorDetail(text, code)


@pytest.mark.parametrize(
    ("collected", "flat"),
    [
        ({"full_name": [detail()]}, [("full_name", "Full name is required.", "required")]),
        ({"a": {"b": [detail()]}}, [("a.b", "B is required.", "required")]),
        ({"a": [{}, {"b": [detail()]}]}, [("a.1.b", "B is required.", "required")]),
        ({"a": {0: [detail()]}}, [("a.0", "0 is required.", "required")]),
        ([detail("No.", "odd")], [("non_field_errors", "No.", "invalid")]),
        ({"non_field_errors": [detail()]}, [("non_field_errors", "This field is required.", "required")]),
        (
            {"a": [detail("x", "invalid_choice"), detail("y", "unique")]},
            [("a", "x", "unknown_choice"), ("a", "y", "taken")],
        ),
        ({}, []),
        ([], []),
    ],
)
def test_field_errors_are_flattened_into_dotted_paths(collected: Any, flat: list[tuple[str, str, str]]) -> None:
    assert [(error["field"], error["message"], error["code"]) for error in field_errors(collected)] == flat


DETAILS = st.builds(detail, st.text(max_size=10), st.text(max_size=10))
COLLECTED = st.recursive(
    st.lists(DETAILS, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(collected=COLLECTED)
def test_field_errors_is_total(collected: Any) -> None:
    for error in field_errors(collected):
        wire.check(error, wire.FIELD_ERROR)
