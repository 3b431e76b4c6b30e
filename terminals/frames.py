"""What the server sends on the terminal's WebSocket, as JSON text (contract section 9.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from devpocket.times import time_text
from environments.lifecycle import COMPAT_STATUS, Phase
from environments.models import Environment


def encode(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def now_text() -> str:
    return time_text(datetime.now(UTC))


def welcome(environment: Environment, *, session: str, stream: dict[str, Any] | None) -> str:
    """First frame, once. `stream` {"id", "offset"}: where the output begins; None while there is no PTY yet."""
    phase = Phase(environment.phase)
    return encode(
        {
            "type": "welcome",
            "message": f"Connected to {environment.name}"
            if stream
            else f"{environment.name}: {environment.status_message}",
            "ssh_connected": stream is not None,
            "user": "devpocket",
            "session": session,
            "stream": stream,
            "environment": {
                "id": str(environment.pk),
                "name": environment.name,
                "template": environment.template_id,
                "template_id": environment.template_id,
                "status": str(COMPAT_STATUS[phase]),
                "phase": str(phase),
                "installation_completed": environment.installation_completed,
                "pty_enabled": stream is not None,
                "droplet_id": environment.droplet_id,
                "droplet_ip": environment.droplet_ip,
                "region": environment.region,
                "size": environment.size,
                "installed_tools": {},
            },
        }
    )


def status_update(environment: Environment) -> str:
    phase = Phase(environment.phase)
    return encode(
        {
            "type": "status_update",
            "environment_id": str(environment.pk),
            "status": str(phase),
            "compat_status": str(COMPAT_STATUS[phase]),
            "message": environment.status_message,
            "progress": environment.progress,
            "timestamp": now_text(),
        }
    )


def info(code: str, message: str, **more: Any) -> str:
    return encode({"type": "info", "code": code, "message": message, **more})


def idle_warning(environment: Environment, stops_at: datetime) -> str:
    """The environment will be stopped at `stops_at`, for nobody seems to use it."""
    message = f"{environment.name} will be stopped at {stops_at:%H:%M} UTC unless it is used."
    return info("idle_warning", message, stops_at=time_text(stops_at))


def error(code: str, message: str, **more: Any) -> str:
    return encode({"type": "error", "code": code, "message": message, **more})


def pong() -> str:
    return encode({"type": "pong", "timestamp": now_text()})


def output(text: str, offset: int) -> str:
    """`offset`: bytes of the stream up to the end of this text."""
    return encode({"type": "output", "data": text, "offset": offset})
