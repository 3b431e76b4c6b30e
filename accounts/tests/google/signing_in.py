"""What the app asks of POST /auth/google, and what it gets."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.test import APIClient

from devpocket.tests import wire

SIGNED_IN = wire.TOKEN_PAIR | {"created": wire.flag}


def post(token: Any, key: str = "id_token", path: str = "/api/v1/auth/google", **more: Any) -> Response:
    return APIClient().post(path, **wire.body({key: token, **more}))


def signed_in(response: Response) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    body = wire.decode(response)
    wire.check(body, SIGNED_IN)
    return dict(body)
