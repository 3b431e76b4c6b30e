"""A tab of our page, and what it is told."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any

from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.tokens import AccessToken, RefreshJWT, parse_token
from devpocket.tests import wire

NAME = "devpocket_refresh"
WEB_TOKENS = {name: reader for name, reader in wire.TOKEN_PAIR.items() if name != "refresh_token"}


def browser(refresh_token: str = "", **headers: str) -> APIClient:
    """A tab of our page."""
    client = APIClient(HTTP_X_DEVPOCKET_WEB="1", **headers)
    if refresh_token:
        client.cookies[NAME] = refresh_token
    return client


def post(client: APIClient, route: str, body: dict[str, Any] | None = None, **headers: str) -> Response:
    """None: without a body, as the page asks for a refresh."""
    if body is None:
        return client.generic("POST", f"/api/v1/web/{route}", content_type="", **headers)
    return client.post(f"/api/v1/web/{route}", **wire.body(body), **headers)


def cookie(response: Response) -> Morsel[str]:
    return response.cookies[NAME]


def is_cleared(response: Response) -> bool:
    """The browser is told to drop the cookie, at the path where it has it."""
    if NAME not in response.cookies:
        return False
    morsel = cookie(response)
    assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", 0, "/api/v1/web")
    return True


def me(access_token: str) -> Response:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {access_token}").get("/api/v1/auth/me")


def check_signed_in(response: Response, status: int = 200, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body: an access token that works, and no refresh token anywhere in it but in the cookie."""
    assert response.status_code == status, response.content
    body = wire.decode(response)
    wire.check(body, WEB_TOKENS | (more or {}))
    token = cookie(response).value
    assert token.encode() not in response.content
    claims = parse_token(RefreshJWT, token)
    assert claims.session_id == parse_token(AccessToken, body["access_token"]).session_id
    assert me(body["access_token"]).status_code == 200
    return dict(body)
