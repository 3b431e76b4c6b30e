"""Reads of this app beyond one filter."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet, UUIDField
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.errors import TokenExpired, TokenInvalid
from accounts.models import PlatformKey, Session, SSHKey, User
from accounts.plans import plan_limits
from accounts.tokens import AccessToken, RefreshJWT, parse_token
from devpocket.fixed_query import FixedQuery, Given
from devpocket.rows import find_one

# What every request begins with.
_session_of = FixedQuery(
    lambda: (
        Session.objects.select_related("user")
        .filter(pk=Given("session_id", UUIDField()), user_id=Given("user_id", UUIDField()))
        .order_by()
    )
)

_platform_key_of = FixedQuery(lambda: PlatformKey.objects.filter(pk=Given("user_id", UUIDField())))


def get_session_by_access_token(raw: str) -> Session:
    """The live session, its user loaded, that an access token speaks for. One query.

    Raises: TokenInvalid, TokenExpired.
    """
    claims = parse_token(AccessToken, raw)
    session = _session_of(session_id=claims.session_id, user_id=claims.user_id).find_one()
    if session is None or session.revoked_at is not None or not session.user.is_active:
        raise TokenInvalid("Your sign-in is not valid any more. Please sign in again.")
    return session


def find_session_by_refresh_token(raw: str) -> Session | None:
    """The live session, its user loaded, that a refresh token is of, whether or not it may still be traded."""
    try:
        claims = parse_token(RefreshJWT, raw)
    except (TokenInvalid, TokenExpired):
        return None
    return find_one(live_session(claims.session_id).filter(user_id=claims.user_id).select_related("user"))


def find_live_session(session_id: object) -> Session | None:
    """The session, its user loaded, while it may be used: not signed out, the account open."""
    return find_one(live_session(session_id).select_related("user"))


def find_user(name_or_email: str) -> User | None:
    """By username or e-mail address, any case. Written so that the indexes on lower(...) serve it."""
    wanted = name_or_email.lower()
    users = User.objects.alias(lower_username=Lower("username"), lower_email=Lower("email"))
    return users.filter(Q(lower_username=wanted) | Q(lower_email=wanted)).first()


def live_session(session_id: object) -> QuerySet[Session]:
    """The session while it may be used, as a query for `exists()` or `Exists`."""
    return Session.objects.filter(pk=session_id, revoked_at=None, user__is_active=True)


def environment_count(user: User) -> int:
    """How many environments the user has. Named in settings, since this app knows none of those above it."""
    return int(import_string(settings.ENVIRONMENT_COUNT)(user.pk))


def get_platform_key(user_id: object) -> PlatformKey:
    """Raises: PlatformKey.DoesNotExist."""
    key = _platform_key_of(user_id=user_id).find_one()
    if key is None:
        raise PlatformKey.DoesNotExist
    return key


def authorized_keys(user_id: object) -> tuple[str, ...]:
    """Every key that is let into the user's machines: the platform's first, then their own."""
    own = SSHKey.objects.filter(user_id=user_id).values_list("public_key", flat=True)
    return (get_platform_key(user_id).public_key, *own)


def sessions_live(user: User) -> QuerySet[Session]:
    """The user's sign-ins that still work, the one used last first."""
    return Session.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())


def user_stats(user: User) -> dict[str, Any]:
    """Contract 4.3. What concerns environments comes from the app that settings name."""
    stats: dict[str, Any] = import_string(settings.USER_STATS)(user.pk)
    limits = {"max_environments": plan_limits(user.plan).max_environments, "used": stats["total_environments"]}
    return {**stats, "active_tokens": sessions_live(user).count(), "limits": limits}


def is_known_region(slug: str) -> bool:
    return bool(import_string(settings.IS_KNOWN_REGION)(slug))
