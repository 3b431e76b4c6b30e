"""What a machine logs, and a socket at the address where that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from channels.layers import get_channel_layer

from environments.models import Environment
from terminals.tests.consumer.served import Frame, Socket

INSTALLED = (
    ("var/log/cloud-init-output.log", "2026-01-01 10:00:00,000 - begun\n"),
    ("var/lib/devpocket/progress", "2026-01-01T10:00:01Z 30 core_tools Tools\n"),
    ("var/log/devpocket/install.log", "2026-01-01T10:00:02Z [core_tools] Reading package lists\n"),
    ("var/log/devpocket/app.log", "2026-01-01T10:00:03Z WARN low\n"),
)
LINES = ["begun", "Tools (core_tools, 30 %)", "Reading package lists", "WARN low"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


class LogsSocket(Socket):
    """A socket at the logs' address."""

    def __init__(self, home: Environment, token: str, query: str = "", *, slash: str = "", **options: Any) -> None:
        super().__init__(home.pk, token, query, **options)
        self.scope["path"] = f"/api/v1/ws/logs/{home.pk}{slash}"

    def say_raw(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})


async def nudge(home: Environment) -> None:
    await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "environment.changed"})


def told(socket: Socket, kind: str = "") -> list[Frame]:
    """Lines, or the frames of one type."""
    kinds = {kind} if kind else {"log", "installation_log"}
    return [frame for frame in socket.sent if frame["type"] in kinds]


def texts(socket: Socket) -> list[str]:
    return [frame.get("data") or frame["message"] for frame in told(socket)]
