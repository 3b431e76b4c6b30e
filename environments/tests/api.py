"""The API of environments as its tests see it: where it is, what its answers look like, and every route there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.wire import check, flag, nullable, one_of, text, text_map, time, uuid4, whole
from environments.lifecycle import Phase, Status

ENVIRONMENTS = "/api/v1/environments"
ClientOf = Callable[[SignIn], APIClient]


def number(value: Any) -> None:
    assert type(value) in (int, float)


def resources(value: Any) -> None:
    check(value, dict.fromkeys(("cpu", "memory", "storage"), text))


LIMITS = {**dict.fromkeys(("cpu", "memory", "storage"), text), "max_instances": nullable(whole)}
BILLING = {
    "state": one_of("active", "powered_off", "hibernated", "none"),
    "usd_per_hour": number,
    "usd_month_to_date": number,
    "note": nullable(text),
}
INSTALLATION = {
    "completed": flag,
    "progress": whole,
    **dict.fromkeys(("phase", "message", "error"), nullable(text)),
}
ERROR = {"code": text, "message": text, "phase": text, "at": time}
ENVIRONMENT: dict[str, wire.Reader] = {
    "id": uuid4,
    **dict.fromkeys(
        "name slug template_id template template_name ssh_user docker_image image region size".split(), text
    ),
    **dict.fromkeys("description status_message external_url url droplet_ip volume_id".split(), nullable(text)),
    "status": one_of(*map(str, Status)),
    "phase": one_of(*map(str, Phase)),
    **dict.fromkeys("progress web_port port ssh_port storage_size_gb".split(), whole),
    "droplet_id": nullable(whole),
    **dict.fromkeys("cpu_usage memory_usage storage_usage".split(), nullable(number)),
    "resource_limits": lambda value: check(value, LIMITS),
    "resources": resources,
    "environment_variables": text_map,
    "installation_completed": flag,
    "installation": lambda value: check(value, INSTALLATION),
    "created_at": time,
    "updated_at": time,
    **dict.fromkeys("last_accessed last_activity last_activity_at idle_stop_at".split(), nullable(time)),
    "last_stop_reason": nullable(text),
    "hibernated": flag,
    "billing": lambda value: check(value, BILLING),
    "error": nullable(lambda value: check(value, ERROR)),
}
SNAPSHOT: dict[str, wire.Reader] = {
    "id": uuid4,
    "snapshot_id": uuid4,
    "cloud_snapshot_id": nullable(text),
    "name": text,
    "environment_id": uuid4,
    "size_gb": nullable(number),
    "status": one_of("pending", "available", "error"),
    "created_at": time,
    "completed_at": nullable(time),
    "region": text,
}
EVENT: dict[str, wire.Reader] = {
    "id": text,
    "at": time,
    "kind": text,
    "phase": one_of(*map(str, Phase)),
    "message": text,
    "actor": nullable(text),
    "actor_id": nullable(uuid4),
    "cloud_request_id": nullable(text),
}

# Every route of one environment, but for metrics and logs: (method, path below it).
ROUTES = [
    ("get", ""),
    ("put", ""),
    ("patch", ""),
    ("delete", ""),
    *(("post", f"/{name}") for name in "start stop restart recover hibernate resize extend snapshot snapshots".split()),
    ("get", "/snapshots"),
    ("get", "/snapshots/{sid}"),
    ("delete", "/snapshots/{sid}"),
    ("post", "/snapshots/{sid}/restore"),
    ("get", "/events"),
]


def decode_environment(response: Any) -> dict[str, Any]:
    body = wire.decode(response)
    check(body, ENVIRONMENT)
    return dict(body)


def post(client: APIClient, **body: Any) -> Any:
    """POST /environments. Encoded here: half a surrogate pair can be written in JSON, though not in UTF-8."""
    return client.post(ENVIRONMENTS, json.dumps(body), content_type="application/json")


def check_phase_refusal(response: Any) -> None:
    """The 409 of an action that the phase doesn't allow (contract 5.4)."""
    body = wire.decode(response)
    assert (response.status_code, body["code"]) == (409, "invalid_state")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [("status", "invalid_state")]
    assert body["context"]["phase"] in set(Phase)
