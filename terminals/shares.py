"""Guest links: whoever has one gets into one session of an environment, to look on or to type, until it ends. Sync.

The link's token is given once, when the link is made; the row has only its SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from devpocket.errors import NotFound
from devpocket.nudges import nudge_on_commit, share_group
from devpocket.times import time_text
from environments.lifecycle import Phase
from environments.models import Environment
from environments.records import event_record
from environments.services import invalid_state, lock_environment
from terminals.errors import ShareEnded
from terminals.models import Mode, TerminalShare
from terminals.presence import GONE_AFTER

log = structlog.get_logger(__name__)

TOKEN_BYTES = 32
LIFE_MIN_S, LIFE_MAX_S = 60, 24 * 3600
KEPT = timedelta(days=7)  # after its end, for its owner to see what became of it


def share_create(
    *, environment: Environment, owner: User, mode: Mode, expires_in_s: int, session: str | None
) -> tuple[TerminalShare, str]:
    """A link into a session of the environment (None: its own), and the token, which is nowhere else.

    `expires_in_s`: LIFE_MIN_S to LIFE_MAX_S, checked by the caller, as `session` is.

    Raises: NotFound, InvalidState (there are as many as may be).
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        environment = lock_environment(environment.pk, owner.pk)  # so that two don't both see room for the last one
        _check_limit(environment)
        now = timezone.now()
        share = TerminalShare.objects.create(
            environment=environment,
            created_by=owner,
            session=session or "",
            mode=mode,
            token_digest=_digest(token),
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_s),
        )
        told = f"{_told(share)}, until {time_text(share.expires_at)}"
        event_record(environment, kind="terminal_share_created", actor_id=owner.pk, message=told)
    log.info("terminal_share_created", environment=str(environment.pk), share=str(share.pk), mode=str(mode))
    return share, token


def _check_limit(environment: Environment) -> None:
    limit = settings.TERMINAL_SHARES_MAX
    if (current := _live().filter(environment=environment).count()) >= limit:
        message = f"An environment may have {limit} guest links at a time. Revoke one to make another."
        raise invalid_state(environment, message, limit=limit, current=current)


def _told(share: TerminalShare) -> str:
    return f"{share.mode}, session {share.session}" if share.session else str(share.mode)


def share_url(share: TerminalShare, token: str) -> str:
    """Where the guest goes, with all that their client needs: the environment's id and the token.

    Both are in the fragment, which no browser sends to a server, and so to no log.
    """
    return f"{settings.PUBLIC_URL.rstrip('/')}/t#{share.environment_id}.{token}"


def share_revoke(*, share_id: UUID, environment_id: UUID, owner_id: UUID | None, actor_id: UUID) -> None:
    """End a link now, with the sockets that it opened. One that has ended stays as it is.

    `owner_id` None: an operator's, on anybody's link. Raises: NotFound.
    """
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        share = environment.terminal_shares.filter(pk=share_id).first()
        if share is None:
            raise NotFound("There is no such guest link.")
        now = timezone.now()
        if not TerminalShare.objects.filter(pk=share_id, revoked_at=None, expires_at__gt=now).update(revoked_at=now):
            return
        event_record(environment, kind="terminal_share_revoked", actor_id=actor_id, message=_told(share))
        nudge_on_commit(share_group(share_id), "share.revoked")
    log.info("terminal_share_revoked", environment=str(environment_id), share=str(share_id), user=str(actor_id))


def share_open(token: str) -> TerminalShare:
    """The link that the token is of, counted as opened once more; its environment, with template, is loaded.

    Raises: ShareEnded, also for a token that never was one.
    """
    rows, now = TerminalShare.objects.filter(token_digest=_digest(token)), timezone.now()
    # One UPDATE that also checks, so that nobody gets in by a link which is being revoked.
    if not (rows & _live()).update(opened_count=F("opened_count") + 1, last_opened_at=now):
        raise ShareEnded("This link doesn't open anything any more. Ask for a new one.")
    return rows.select_related("environment__template").defer("environment__host_private_key").get()


def live_share(share_id: UUID) -> QuerySet[TerminalShare]:
    """The link while those who came by it may stay, as a query for `exists()` or `Exists`."""
    return _live().filter(pk=share_id)


def is_active(share: TerminalShare) -> bool:
    """Neither revoked nor too old, as the row tells it."""
    return share.revoked_at is None and share.expires_at > timezone.now()


def _live() -> QuerySet[TerminalShare]:
    # Subqueries, not joins: an UPDATE then looks again at the row's own columns when it has waited for another one.
    return TerminalShare.objects.filter(
        revoked_at=None,
        expires_at__gt=timezone.now(),
        environment__in=Environment.objects.exclude(phase=Phase.TERMINATED).values("pk"),
        created_by__in=User.objects.filter(is_active=True).values("pk"),
    )


def shares_of(environment: Environment) -> QuerySet[TerminalShare]:
    """All that are not forgotten yet, newest first, each with `viewers_now`: the sockets that it has open."""
    is_open = Q(viewers__seen_at__gte=Now() - GONE_AFTER)  # as presence.open_terminals() has it
    rows = TerminalShare.objects.filter(environment=environment).order_by("-created_at", "-pk")
    return rows.annotate(viewers_now=Count("viewers", filter=is_open))


def shares_prune() -> None:
    """Forget links that ended KEPT ago."""
    before = timezone.now() - KEPT
    TerminalShare.objects.filter(Q(expires_at__lt=before) | Q(revoked_at__lt=before)).delete()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()  # 256 random bits need no salt
