"""Strict readers of what goes over the wire: present keys, exact JSON types, closed sets (contract section 13)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from devpocket.errors import KNOWN_FIELD_CODES
from devpocket.testing.secret_scan import learn

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")
KNOWN_CODES = frozenset(
    """malformed_json not_authenticated token_invalid token_expired invalid_credentials account_locked account_disabled
    email_not_verified reauthentication_required invalid_token google_token_invalid google_not_configured
    permission_denied admin_required environment_limit_reached size_not_allowed region_unavailable not_found
    method_not_allowed username_taken email_taken name_taken invalid_state resize_required snapshot_in_progress
    invalid_input template_unavailable rate_limited cloud_error service_unavailable internal_error""".split()
)

Reader = Callable[[Any], None]


def text(value: Any) -> None:
    assert type(value) is str


def whole(value: Any) -> None:
    assert type(value) is int


def flag(value: Any) -> None:
    assert type(value) is bool


def time(value: Any) -> None:
    assert TIME.match(value)
    assert datetime.fromisoformat(value).utcoffset() is not None


def uuid4(value: Any) -> None:
    assert str(UUID(value)) == value
    assert UUID(value).version == 4


def nullable(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def one_of(*values: str) -> Reader:
    def read(value: Any) -> None:
        assert value in values

    return read


def texts(value: Any) -> None:
    assert type(value) is list
    assert all(type(item) is str for item in value)


def text_map(value: Any) -> None:
    assert type(value) is dict
    assert all(type(item) is str for item in [*value, *value.values()])


USER: dict[str, Reader] = {
    "id": uuid4,
    "username": text,
    "email": text,
    "full_name": nullable(text),
    "is_active": flag,
    "is_verified": flag,
    "subscription_plan": one_of("free", "starter", "pro", "admin"),
    "created_at": time,
    "updated_at": time,
    "last_login": nullable(time),
    "preferred_region": nullable(text),
    "avatar_url": nullable(text),
    "record_terminals": flag,
    "is_admin": flag,
    "environment_count": whole,
}
CAMEL_USER: dict[str, Reader] = {
    "fullName": nullable(text),
    "isActive": flag,
    "isVerified": flag,
    "subscriptionPlan": one_of("free", "starter", "pro", "admin"),
    "createdAt": time,
    "lastLogin": nullable(time),
}
TOKEN_PAIR: dict[str, Reader] = {
    "access_token": text,
    "refresh_token": text,
    "token_type": one_of("bearer"),
    "expires_in": whole,
    "refresh_expires_in": whole,
    "user": lambda value: check(value, USER | CAMEL_USER),
}
FIELD_ERROR: dict[str, Reader] = {"field": text, "message": text, "code": one_of(*KNOWN_FIELD_CODES)}
ERROR: dict[str, Reader] = {
    "detail": text,
    "code": one_of(*KNOWN_CODES),
    "errors": lambda value: [check(item, FIELD_ERROR) for item in value] and None,
    "context": nullable(lambda value: None),
    "timestamp": time,
    "path": text,
    "request_id": text,
}


def check(value: Any, readers: dict[str, Reader]) -> None:
    """`value` is an object with exactly these keys, each of its type."""
    assert type(value) is dict
    assert set(value) == set(readers)
    for name, reader in readers.items():
        reader(value[name])


def body(value: Any) -> dict[str, str]:
    """Keyword arguments for APIClient: the value as JSON in ASCII, which carries every string that JSON can."""
    return {"data": json.dumps(value), "content_type": "application/json"}


def decode(response: Response) -> Any:
    """The JSON as it was sent, not as it was before rendering."""
    assert response["Content-Type"].partition(";")[0] == "application/json"
    value = json.loads(response.content)
    learn(value)
    return value


def check_refusal(response: Response, status: int, code: str) -> dict[str, Any]:
    """The error body (contract 2.2), checked, of a refusal with this status and code."""
    body = decode(response)
    assert (response.status_code, body["code"]) == (status, code), body
    waits = (status in (429, 503) or code == "account_locked") and "retry_after" in body
    check(body, ERROR | ({"retry_after": whole} if waits else {}))
    assert body["context"] is None or type(body["context"]) is dict
    assert body["detail"]
    assert "validation" not in body["detail"].lower()
    assert body["request_id"] == response["X-Request-ID"]
    if status == 422:
        assert body["errors"]
        assert body["detail"] == body["errors"][0]["message"]
    if waits:
        assert response["Retry-After"] == str(body["retry_after"])
    assert response.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    return dict(body)


def field_codes(response: Response) -> dict[str, str]:
    """{field: code} of a 422."""
    return {error["field"]: error["code"] for error in check_refusal(response, 422, "invalid_input")["errors"]}
