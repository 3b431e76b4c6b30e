"""What a client asks for when it connects. Pure. Source: contract section 9.1, docs/websocket-protocol.md."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

from environments.lifecycle import asks_full_status
from terminals.protocol import ResumePoint, parse_resume

BINARY = "devpocket.v1.binary"
CREDENTIALS = ("bearer", "share")  # sub-protocols after which a credential comes, for browsers can send no header


@dataclass(frozen=True, slots=True)
class Handshake:
    """`token`, `ticket`, `share`: one of them says who it is. `subprotocol`: the one to confirm, if any.

    `records`: whether to record, None for what the user has set.
    """

    environment_id: str = ""  # none, where the address names none
    token: str = field(default="", repr=False)
    ticket: str = field(default="", repr=False)
    share: str = field(default="", repr=False)
    session: str | None = None
    resume: ResumePoint | None = None
    origin: str | None = None
    subprotocol: str | None = None
    is_plain: bool = False
    is_view: bool = False
    records: bool | None = None
    is_full_status: bool = False

    def without_credentials(self) -> Handshake:
        return replace(self, token="", ticket="", share="")

    @property
    def is_binary(self) -> bool:
        return self.subprotocol == BINARY


def read_handshake(scope: dict[str, Any]) -> Handshake:
    """From the ASGI scope. The token comes in the query, else the header, else the sub-protocols `bearer, <jwt>`."""
    query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, credentials = headers.get(b"authorization", "").partition(" ")
    offered = list(scope.get("subprotocols", []))
    given = {name: _after(offered, name) for name in CREDENTIALS}
    return Handshake(
        environment_id=scope["url_route"]["kwargs"].get("environment_id", ""),
        token=query.get("token") or (credentials.strip() if scheme.lower() == "bearer" else "") or given["bearer"],
        ticket=query.get("ticket", ""),
        share=query.get("share") or given["share"],
        session=query.get("session"),
        resume=parse_resume(query.get("stream"), query.get("offset")),
        origin=headers.get(b"origin"),
        subprotocol=next((name for name in (BINARY, *CREDENTIALS) if name in offered), None),
        is_plain=query.get("tmux") in _NO,
        is_view=query.get("mode") == "view",
        records=None if "record" not in query else query["record"] not in _NO,
        is_full_status=asks_full_status(headers.get(b"x-devpocket-status", ""), query.get("status_format", "")),
    )


_NO = ("0", "false", "no", "off")


def _after(offered: list[str], name: str) -> str:
    """The sub-protocol that follows `name`: what is offered with it."""
    place = offered.index(name) + 1 if name in offered else len(offered)
    return offered[place] if place < len(offered) else ""
