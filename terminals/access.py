"""Who may open a socket, where to: the checks of contract 9.1 in their order, and what they found. Sync."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, QuerySet, UUIDField

from accounts.selectors import find_live_session, live_session
from accounts.tokens import AccessToken, parse_token
from devpocket.errors import AWAY_RETRY_S, UNAVAILABLE_TEXT, DomainError
from devpocket.fixed_query import FixedQuery, Given
from devpocket.rows import find_one
from environments.api.serializers import shown_to_owner
from environments.connections import target_for
from environments.lifecycle import BECOMING_READY, Phase
from environments.models import Environment
from environments.selectors import environments_of
from environments.ssh import Target
from terminals.errors import ShareEnded
from terminals.handshake import Handshake
from terminals.models import Mode, TerminalShare
from terminals.shares import live_share, share_open
from terminals.tickets import ticket_redeem
from terminals.tmux import SESSION_NAME


class Refused(DomainError):
    """A socket that is told why and closed with `close_code`. `reason` is the close frame's text (contract 9.4)."""

    http_status = 403
    close_code = 1008

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class TryAgain(Refused):
    """Nothing is known about the client: what has to be asked is away. It comes back, as after any code but 1008."""

    http_status = 503
    close_code = 1013

    def __init__(self) -> None:
        super().__init__("service_unavailable", "try again later", UNAVAILABLE_TEXT)
        self.retry_after_s = AWAY_RETRY_S


AUTHENTICATION_FAILED = ("authentication_failed", "Authentication failed", "Your sign-in is not valid.")
ENVIRONMENT_NOT_FOUND = ("environment_not_found", "Environment not found", "There is no such environment.")
TOO_MANY_CONNECTIONS = (
    "too_many_connections",
    "Too many connections",
    "Too many terminals are open. Close one and try again.",
)
TOO_MANY_LISTS = (*TOO_MANY_CONNECTIONS[:2], "Your environments are open in too many places. Close one and try again.")
NOT_RUNNING = ("environment_not_running", "Environment not running", "This environment is not running.")
SESSION_REVOKED = ("session_revoked", "Session revoked", "You were signed out.")
TERMINATED = ("session_revoked", "Session revoked", "An operator has closed this terminal.")
SHARE_ENDED = ("share_ended", "Session revoked", "This link doesn't open anything any more. Ask for a new one.")
BAD_SESSION = (
    "invalid_session",
    "Invalid session name",
    "A session's name has 1 to 32 lower-case letters, digits and hyphens.",
)
RATE_LIMITED = ("rate_limited", "Rate limit exceeded", "Too much input at once.")


@dataclass(frozen=True, slots=True)
class Access:
    """Who has come to an environment: somebody who has signed in (`session_id`), or a guest with a link (`share`).

    It is kept for as long as the socket is open, and a row is a tenth of what that takes: so not the row.
    """

    environment_id: UUID
    owner_id: UUID  # whose it has to be
    session_id: UUID | None = None
    share: TerminalShare | None = None
    environment_name: str = ""  # as it was when they were let in
    records: bool = False  # what the owner has set; a guest's terminal is not recorded

    def let_in(self, environment: Environment) -> Access:
        """With what is kept of the row."""
        records = self.share is None and getattr(environment, "records", False)
        return replace(self, environment_name=environment.name, records=records)

    @property
    def counts_as(self) -> str:
        """Whose connections this one is counted with: guests take none of the owner's."""
        return str(self.owner_id) if self.share is None else f"share.{self.share.pk}"

    @property
    def ends_at(self) -> datetime | None:
        """When it ends by itself."""
        return None if self.share is None else self.share.expires_at

    @property
    def is_view(self) -> bool:
        return self.share is not None and self.share.mode == Mode.VIEW


def asks_nobody(handshake: Handshake, *, admits_guests: bool) -> bool:
    """Whether the checks below need neither database nor cache: a token says by itself whose it is."""
    return not (handshake.share and admits_guests) and not (handshake.ticket and not handshake.token)


def check_sign_in(handshake: Handshake) -> tuple[UUID, UUID]:
    """Origin, and token or ticket; the ids of session and user, whose rows the first look reads. Raises: Refused."""
    _check_origin(handshake)
    if not handshake.token and handshake.ticket:
        session = ticket_redeem(handshake.ticket)
        if session is None:
            raise Refused(*AUTHENTICATION_FAILED)
        return session.pk, session.user_id
    try:
        claims = parse_token(AccessToken, handshake.token)
    except DomainError as error:
        raise Refused(*AUTHENTICATION_FAILED) from error
    return claims.session_id, claims.user_id


def check_access(handshake: Handshake, *, admits_guests: bool) -> Access:
    """Origin, and token, ticket or link. What the rows say of them tells the first look. Raises: Refused."""
    if handshake.share and admits_guests:
        _check_origin(handshake)
        return _guests_access(handshake)
    session_id, user_id = check_sign_in(handshake)
    return Access(_environment_id(handshake), user_id, session_id=session_id)


def _guests_access(handshake: Handshake) -> Access:
    """The link decides; all else that is asked for may only be less than it gives."""
    try:
        share = share_open(handshake.share)
    except ShareEnded as error:
        raise Refused(*SHARE_ENDED) from error
    if share.environment_id != _environment_id(handshake):
        raise Refused(*ENVIRONMENT_NOT_FOUND)
    return Access(share.environment_id, share.environment.owner_id, share=share)


def _environment_id(handshake: Handshake) -> UUID:
    try:
        return UUID(handshake.environment_id)
    except ValueError:
        return UUID(int=0)  # nobody's: the look finds none, once it has found who asks


def check_session_name(handshake: Handshake) -> None:
    """Raises: Refused."""
    if handshake.session is not None and not SESSION_NAME.match(handshake.session):
        raise Refused(*BAD_SESSION)


def _check_origin(handshake: Handshake) -> None:
    if handshake.origin is not None and not {"*", handshake.origin} & set(settings.WS_ALLOWED_ORIGINS):
        raise Refused(*AUTHENTICATION_FAILED)


# What a socket shows of its environment and decides by. With all the others the query would cost half as much again.
# The sockets' tests notice when one more is used.
SHOWN = (
    *("owner_id", "name", "template_id", "region", "size", "phase", "phase_changed_at", "progress", "status_message"),
    *("installation_completed", "install_percent", "install_error", "error_code", "error_message"),
    *("droplet_id", "droplet_ip", "host_public_key"),
    *("last_activity_at", "busy_at", "idle_extended_until", "idle_warned_at"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an open socket's sign-in (or link) and environment are now. `environment` None: its row is gone."""

    is_admitted: bool
    environment: Environment | None

    @property
    def is_running(self) -> bool:
        return self.environment is not None and self.environment.phase == Phase.RUNNING

    @property
    def may_wait(self) -> bool:
        return self.environment is not None and Phase(self.environment.phase) in BECOMING_READY


def _look_with(live: QuerySet[Any], environment_id: UUID | Given, owner_id: UUID | Given) -> QuerySet[Environment]:
    rows = Environment.objects.filter(pk=environment_id, owner_id=owner_id).only(*SHOWN)
    return rows.annotate(is_admitted=Exists(live), records=F("owner__record_terminals"))


def _look_with_session() -> QuerySet[Environment]:
    environment_id, owner_id, session_id = (
        Given(f"{whose}_id", UUIDField()) for whose in ("environment", "owner", "session")
    )
    return _look_with(live_session(session_id).filter(user_id=owner_id), environment_id, owner_id).order_by()


_of_session = FixedQuery(_look_with_session)


def look_again(access: Access) -> Standing:
    """A deleted environment is still given, with its last phase, for the status that tells of it. One query."""
    ids = {"environment_id": access.environment_id, "owner_id": access.owner_id}
    if access.share is None:
        environment = _of_session(**ids, session_id=access.session_id).find_one()
    else:
        environment = find_one(_look_with(live_share(access.share.pk), **ids))
    if environment is None:
        return Standing(_is_live(access), None)
    return Standing(getattr(environment, "is_admitted", False), environment)


def _is_live(access: Access) -> bool:
    if access.share is not None:
        return live_share(access.share.pk).exists()
    return live_session(access.session_id).filter(user_id=access.owner_id).exists()  # a token names both


def look_at_all(session_id: UUID, *, owner_id: UUID, is_full_status: bool) -> list[dict[str, Any]] | None:
    """All environments of whoever is signed in so, newest first, as the API gives them; None: signed out. Two queries,
    however many there are.
    """
    session = find_live_session(session_id)
    if session is None or session.user_id != owner_id:  # a token names both
        return None
    rows = environments_of(session.user_id)
    return shown_to_owner(rows, plan=session.user.plan, is_full_status=is_full_status)


def find_target(standing: Standing) -> Target | None:
    """How to reach the environment's machine; None while it doesn't run."""
    environment = standing.environment
    return target_for(environment) if environment is not None and standing.is_running else None
