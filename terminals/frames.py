"""What the server sends on the terminal's WebSocket, as JSON text (contract section 9.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from devpocket.times import time_text
from environments.lifecycle import COMPAT_STATUS, Phase
from environments.models import Environment

PLAIN = "plain"  # in place of a session's name, where there is no tmux


def encode(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def now_text() -> str:
    return time_text(datetime.now(UTC))


def welcome(
    environment: Environment,
    *,
    session: str,
    stream: dict[str, Any] | None,
    is_view: bool = False,
    is_guest: bool = False,
    recording: dict[str, str] | None = None,
    input_seq: int = 0,
) -> str:
    """First frame, once. `stream` {"id", "offset"}: where the output begins; None while there is no PTY yet.

    `session`: tmux's name, or "plain". `recording` {"id"}. `input_seq`: the client's last numbered input that was
    applied. A guest is not told the machine's address.
    """
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
            "mode": "view" if is_view else "write",
            "tmux": session != PLAIN,
            "guest": is_guest,
            "recording": recording,
            "input_seq": input_seq,
            "environment": {
                "id": str(environment.pk),
                "name": environment.name,
                "template": environment.template_id,
                "template_id": environment.template_id,
                "status": str(COMPAT_STATUS[phase]),
                "phase": str(phase),
                "installation_completed": environment.installation_completed,
                "pty_enabled": stream is not None,
                "droplet_id": None if is_guest else environment.droplet_id,
                "droplet_ip": None if is_guest else environment.droplet_ip,
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


def news_of(environment: Environment) -> tuple[str, bool, str]:
    """What of it is told at once when it changes."""
    return environment.phase, environment.installation_completed, environment.install_error


def info(code: str, message: str, **more: Any) -> str:
    return encode({"type": "info", "code": code, "message": message, **more})


def reattached(
    *, stream: dict[str, Any] | None, is_new_session: bool, recording: dict[str, str] | None, input_seq: int
) -> str:
    """Another stream from here on. `is_new_session`: the shell of the one that was asked for has ended."""
    message = "The session had ended; this is a new one." if is_new_session else "Connected."
    more = {"is_new_session": is_new_session, "recording": recording, "input_seq": input_seq}
    return info("reattached", message, stream=stream, **more)


def lost_output(missed: int, *, stream: dict[str, Any] | None) -> str:
    """`missed` bytes were forgotten before the client could have them. What puts its terminal right comes next."""
    return info("lost_output", f"{missed} bytes of output are lost.", bytes=missed, stream=stream)


def left_out(*, stream: dict[str, Any] | None) -> str:
    """For a client that counts the bytes itself: some of those that are repeated were left out."""
    return info("left_out", "Questions to the terminal were left out.", stream=stream)


def idle_warning(environment: Environment, stops_at: datetime) -> str:
    """The environment will be stopped at `stops_at`, for nobody seems to use it."""
    message = f"{environment.name} will be stopped at {stops_at:%H:%M} UTC unless it is used."
    return info("idle_warning", message, stops_at=time_text(stops_at))


def error(code: str, message: str, **more: Any) -> str:
    return encode({"type": "error", "code": code, "message": message, **more})


def pong() -> str:
    return encode({"type": "pong", "timestamp": now_text()})


def output(text: str, offset: int) -> bytes:
    """`offset`: bytes of the stream up to the end of this text. As bytes, for there is much of it."""
    return orjson.dumps({"type": "output", "data": text, "offset": offset})


def ack(seq: int) -> str:
    """Input up to this number was applied."""
    return encode({"type": "ack", "seq": seq})
