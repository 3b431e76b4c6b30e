"""Every route of accounts: with and without the slash, its methods, and who may call it (contract 1, T1, T8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import URLPattern
from rest_framework.test import APIClient

from accounts.api.urls import urlpatterns
from accounts.services import SignIn
from devpocket.tests import wire

ID = "00000000-0000-4000-8000-000000000000"
OPEN = [
    "/auth/register",
    "/auth/login",
    "/auth/refresh",
    "/auth/verify-email",
    "/auth/resend-verification",
    "/auth/forgot-password",
    "/auth/reset-password",
]
SIGNED_IN: dict[str, str] = {  # path: methods
    "/auth/me": "GET",
    "/auth/profile": "GET",
    "/auth/logout": "POST",
    "/auth/change-password": "POST",
    "/users/change-password": "POST",
    "/users/me/change-password": "POST",
    "/users/me": "GET PUT PATCH DELETE",
    "/users/me/stats": "GET",
    "/users/stats": "GET",
    "/users/me/sessions": "GET",
    f"/users/me/sessions/{ID}": "DELETE",
    "/users/me/ssh-keys": "GET POST",
    f"/users/me/ssh-keys/{ID}": "DELETE",
}
EVERY = dict.fromkeys(OPEN, "POST") | SIGNED_IN
CALLS = [(path, method) for path, methods in SIGNED_IN.items() for method in methods.split()]


def test_the_tables_above_name_every_route() -> None:
    def matches(pattern: URLPattern) -> bool:
        return any(pattern.resolve(path.removeprefix("/")) for path in EVERY)

    # Google's has tests of its own, and so have a browser's (test_web.py).
    ours = [pattern for pattern in urlpatterns if not {"google", "^web"} & set(str(pattern.pattern).split("/"))]
    assert [str(pattern.pattern) for pattern in ours if not matches(pattern)] == []


@pytest.mark.django_db
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "method"), CALLS)
def test_without_a_token_nobody_gets_in(path: str, method: str, slash: str) -> None:
    response = APIClient().generic(method, f"/api/v1{path}{slash}")
    wire.check_refusal(response, 401, "not_authenticated")
    stale = APIClient(HTTP_AUTHORIZATION="Bearer stale").generic(method, f"/api/v1{path}{slash}")
    wire.check_refusal(stale, 401, "token_invalid")


@pytest.mark.django_db
@pytest.mark.parametrize("path", OPEN)
def test_open_routes_answer_the_same_with_and_without_the_slash(path: str) -> None:
    plain, slashed = (APIClient().post(f"/api/v1{path}{slash}", {}) for slash in ("", "/"))
    assert wire.field_codes(plain) == wire.field_codes(slashed)
    assert plain.status_code == slashed.status_code == 422


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_routes_answer_the_same_with_and_without_the_slash(
    path: str, method: str, ann: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    if method == "DELETE" and path == "/users/me":
        body: Any = {"password": "wrong"}
    else:
        body = {"token": 1}
    plain = client_of(ann).generic(method, f"/api/v1{path}", **_json(body))
    if path == "/auth/logout":
        wire.check_refusal(client_of(ann).generic(method, f"/api/v1{path}/", **_json(body)), 401, "token_invalid")
        return
    slashed = client_of(ann).generic(method, f"/api/v1{path}/", **_json(body))
    assert plain.status_code == slashed.status_code
    assert not 300 <= plain.status_code < 400
    if plain.status_code == 200:
        left, right = wire.decode(plain), wire.decode(slashed)
        if isinstance(left, dict):
            left.pop("updated_at", None), right.pop("updated_at", None)
        assert left == right


def _json(body: Any) -> dict[str, Any]:
    return wire.body(body)


@pytest.mark.parametrize("path", EVERY)
def test_other_methods_are_refused_and_options_tells_which(
    path: str, ann: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    allowed = set(EVERY[path].split())
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        response = client_of(ann).generic(method, f"/api/v1{path}")
        wire.check_refusal(response, 405, "method_not_allowed")
        assert allowed <= set(response["Allow"].split(", "))
    assert client_of(ann).options(f"/api/v1{path}").status_code == 200
    if "GET" in allowed:
        head = client_of(ann).head(f"/api/v1{path}")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", [path for path, methods in EVERY.items() if "POST" in methods])
def test_a_body_that_is_no_json_object_is_malformed(
    path: str, ann: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    for raw in ("{", "[]", "7", "NaN"):
        response = client_of(ann).generic("POST", f"/api/v1{path}", raw, content_type="application/json")
        wire.check_refusal(response, 400, "malformed_json")
    response = client_of(ann).generic("POST", f"/api/v1{path}", "a=1", content_type="application/x-www-form-urlencoded")
    wire.check_refusal(response, 415, "invalid_input")


@pytest.mark.parametrize("path", ["/users/me/sessions", "/users/me/ssh-keys"])
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "offset=-1", "limit=x"])
def test_a_page_out_of_range_is_refused(
    path: str, query: str, ann: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    wire.check_refusal(client_of(ann).get(f"/api/v1{path}?{query}"), 422, "invalid_input")
