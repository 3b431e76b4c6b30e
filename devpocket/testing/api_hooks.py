"""What schemathesis does not know of our API: who signs in, and which ids there are. Loaded by `st run`.

API_CHECK has the world it runs in, as JSON: {"url", "user", "admin": tokens, "ids": {path parameter: ids}}.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
import zlib
from typing import Any

import requests
import schemathesis

WORLD: dict[str, Any] = json.loads(os.environ["API_CHECK"])
# A call of one of these leaves nothing of its user's tokens, so each gets a user of its own.
USES_UP = {
    "auth_logout",
    "auth_change_password",
    "users_change_password",
    "users_me_change_password",
    "users_me_destroy",
    "users_me_sessions_destroy",
    "web_change_password",
}
BY_COOKIE = {"web_refresh", "web_logout"}  # they use theirs up too
PASSWORD = "Correct-Horse-7"

_numbers = itertools.count()


def _post(path: str, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{WORLD['url']}/api/v1{path}", json=body, headers=headers, timeout=20)


def _ask(path: str, body: dict[str, Any], token: str = "") -> dict[str, Any] | None:
    answer = _post(path, body, **({"Authorization": f"Bearer {token}"} if token else {}))
    return dict(answer.json()) if answer.status_code == 201 else None


def _guest() -> dict[str, Any]:
    name = f"guest-{uuid.uuid4().hex[:20]}"
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD}


@schemathesis.auth(refresh_interval=None)
class AccessTokens:
    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        operation = case.operation.definition.raw
        if operation["operationId"] in BY_COOKIE:
            return str(_post("/web/register", _guest(), **{"X-DevPocket-Web": "1"}).cookies["devpocket_refresh"])
        if operation["operationId"] in USES_UP:
            user = _ask("/auth/register", _guest())
            assert user is not None
            return str(user["access_token"])
        return str(WORLD["admin" if "templates" in operation["tags"] else "user"])

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        if case.operation.definition.raw["operationId"] in BY_COOKIE:
            case.cookies = {**(case.cookies or {}), "devpocket_refresh": data}
        else:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """What is as it should be, though schemathesis can't know it."""
    kind, path = type(failure).__name__, case.operation.path
    if kind == "ServerError" and path.endswith(("/sessions", "/sessions/{session}")):
        # A machine that this run has told to stop or restart may not answer.
        return not (response.status_code == 503 and "retry-after" in response.headers)
    # Deleting a template deprecates it: administrators see it still (contract section 7). An emptied list is a list.
    return not (kind == "UseAfterFree" and (path.startswith("/api/v1/templates/") or path.endswith("/sessions")))


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> Any:
    """Every other id is a real one: the rest is answered with 404 before anything is done."""
    operation = context.operation.definition.raw["operationId"]
    for name, value in (path_parameters or {}).items():
        real = _real_ids(operation, name)
        drawn = zlib.crc32(str(value).encode(errors="surrogatepass"))
        if real and drawn % 4:
            path_parameters[name] = real[drawn // 4 % len(real)]  # type: ignore[index]
    return path_parameters


def _real_ids(operation: str, name: str) -> list[str]:
    """Of what is deleted there is one more each time."""
    environment_id = WORLD["ids"]["environment_id"][0]
    if operation == "environments_destroy":
        body = {"name": f"spare {next(_numbers)}", "template_id": "ubuntu"}
        spare = _ask("/environments", body, WORLD["user"])
        return [] if spare is None else [spare["id"]]
    if operation == "environments_terminal_shares_destroy" and name == "share_id":
        share = _ask(f"/environments/{environment_id}/terminal-shares", {}, WORLD["user"])
        return [] if share is None else [share["id"]]
    if operation.endswith("_destroy") and name not in ("environment_id", "session"):
        return []
    return list(WORLD["ids"].get(name, []))
