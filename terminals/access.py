"""Who may open a terminal, where to: the checks of contract 9.1 in their order, and what they found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from django.conf import settings

from accounts.selectors import get_session_by_access_token, is_session_live
from devpocket.errors import DomainError
from environments.connections import target_for
from environments.lifecycle import BECOMING_READY, Phase
from environments.models import Environment
from environments.selectors import environments_of
from environments.ssh import Target
from terminals.protocol import ResumePoint, parse_resume
from terminals.tmux import SESSION_NAME


class Refused(DomainError):
    """A socket that is told why and closed with 1008. `reason` is the close frame's text (contract 9.4)."""

    http_status = 403

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


AUTHENTICATION_FAILED = ("authentication_failed", "Authentication failed", "Your sign-in is not valid.")
ENVIRONMENT_NOT_FOUND = ("environment_not_found", "Environment not found", "There is no such environment.")
TOO_MANY_CONNECTIONS = (
    "too_many_connections",
    "Too many connections",
    "Too many terminals are open. Close one and try again.",
)
NOT_RUNNING = ("environment_not_running", "Environment not running", "This environment is not running.")
SESSION_REVOKED = ("session_revoked", "Session revoked", "You were signed out.")
RATE_LIMITED = ("rate_limited", "Rate limit exceeded", "Too much input at once.")


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asks for when it connects. `subprotocol`: the one to confirm, if any."""

    token: str = field(repr=False)
    environment_id: str
    session: str | None
    resume: ResumePoint | None
    origin: str | None
    subprotocol: str | None


def read_handshake(scope: dict[str, Any]) -> Handshake:
    """From the ASGI scope. The token comes in the query, else the header, else the sub-protocols `bearer, <jwt>`."""
    query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, credentials = headers.get(b"authorization", "").partition(" ")
    offered = list(scope.get("subprotocols", []))
    by_protocol = offered[1] if len(offered) > 1 and offered[0] == "bearer" else ""
    return Handshake(
        token=query.get("token") or (credentials.strip() if scheme.lower() == "bearer" else "") or by_protocol,
        environment_id=scope["url_route"]["kwargs"]["environment_id"],
        session=query.get("session"),
        resume=parse_resume(query.get("stream"), query.get("offset")),
        origin=headers.get(b"origin"),
        subprotocol="bearer" if "bearer" in offered else None,
    )


@dataclass(frozen=True, slots=True)
class Access:
    """A signed-in owner and their environment, as it was when they connected."""

    user_id: UUID
    session_id: UUID
    environment: Environment


def check_access(handshake: Handshake) -> Access:
    """Token, origin, user, ownership. Sync. Raises: Refused."""
    if handshake.origin is not None and not _is_origin_allowed(handshake.origin):
        raise Refused(*AUTHENTICATION_FAILED)
    try:
        session = get_session_by_access_token(handshake.token)
    except DomainError as error:
        raise Refused(*AUTHENTICATION_FAILED) from error
    if handshake.session is not None and not SESSION_NAME.match(handshake.session):
        raise Refused(*ENVIRONMENT_NOT_FOUND)
    try:
        environment_id = UUID(handshake.environment_id)
    except ValueError as error:
        raise Refused(*ENVIRONMENT_NOT_FOUND) from error
    environment = environments_of(session.user_id).filter(pk=environment_id).first()
    if environment is None:
        raise Refused(*ENVIRONMENT_NOT_FOUND)
    return Access(session.user_id, session.pk, environment)


def _is_origin_allowed(origin: str) -> bool:
    return "*" in settings.WS_ALLOWED_ORIGINS or origin in settings.WS_ALLOWED_ORIGINS


@dataclass(frozen=True, slots=True)
class Standing:
    """How an open socket's sign-in and environment are now. `environment` None: its row is gone."""

    is_session_live: bool
    environment: Environment | None

    @property
    def is_running(self) -> bool:
        return self.environment is not None and self.environment.phase == Phase.RUNNING

    @property
    def may_wait(self) -> bool:
        return self.environment is not None and Phase(self.environment.phase) in BECOMING_READY


def look_again(access: Access) -> Standing:
    """Sync. A deleted environment is still given, with its last phase, for the status that tells of it."""
    rows = environments_of(access.user_id, with_terminated=True)
    environment = rows.filter(pk=access.environment.pk).first()
    return Standing(is_session_live(access.session_id), environment)


def find_target(access: Access) -> Target | None:
    """How to reach the environment's machine; None while it doesn't run. Sync."""
    running = environments_of(access.user_id).filter(pk=access.environment.pk, phase=Phase.RUNNING).first()
    return None if running is None else target_for(running)
