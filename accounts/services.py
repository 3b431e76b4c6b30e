"""Every write of this app: accounts, sign-ins and the refresh chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.errors import AccountLocked, EmailTaken, InvalidCredentials, TokenInvalid, UsernameTaken
from accounts.mails import mail_queue
from accounts.models import Mail, RefreshToken, Session, User
from accounts.selectors import find_user
from accounts.tokens import RefreshJWT, TokenPair, issue_pair, parse_token
from devpocket.errors import NotFound
from devpocket.nudges import nudge_on_commit, session_group
from devpocket.times import time_text

log = structlog.get_logger(__name__)

T = TypeVar("T")

KEEP_SESSIONS = timedelta(days=30)  # after their end, for the question who was signed in
WRONG_LOGIN_TEXT = "Incorrect username/email or password."  # the client looks for "incorrect" (contract 2.3)


@dataclass(frozen=True, slots=True)
class Device:
    """Where a sign-in comes from, for the user's list of sessions."""

    user_agent: str = ""
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    user: User
    session: Session
    tokens: TokenPair


def user_register(
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None = None,
    preferred_region: str | None = None,
    device: Device,
) -> SignIn:
    """Create the account with its platform key, sign it in, and have its address verified by mail.

    Raises: UsernameTaken, EmailTaken; then nothing was written.
    """
    user, key = User.objects.build_user(
        username, email, password, full_name=full_name, preferred_region=preferred_region
    )
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            key.save(force_insert=True)
            mail_queue(kind=Mail.Kind.VERIFY_EMAIL, address=user.email)
            return session_open(user, device)
    except IntegrityError as error:
        if find_user(username) is not None:
            raise UsernameTaken("This username is already taken.") from error
        if find_user(email) is not None:
            raise EmailTaken("An account with this email address already exists.") from error
        raise


def admin_ensure(*, username: str, password: str) -> bool:
    """Create a verified superuser, unless the username exists: then nothing is changed. True: created."""
    if find_user(username) is not None:
        return False
    try:
        User.objects.create_superuser(username, f"{username}@localhost.localdomain", password)
    except IntegrityError:
        if find_user(username) is None:
            raise
        return False  # another process was faster
    log.info("admin_created", username=username)
    return True


def user_login(*, name_or_email: str, password: str, device: Device) -> SignIn:
    """Sign in with a password. ACCOUNT_LOCKOUT_ATTEMPTS wrong ones in a row lock that for ACCOUNT_LOCKOUT_SECONDS.

    Raises:
        InvalidCredentials: the same in text and time for unknown names, wrong passwords, closed accounts.
        AccountLocked: also with the right password.
    """
    return password_proven(name_or_email, password, then=lambda user: session_open(user, device))


def password_proven(
    name_or_email: str, password: str, *, then: Callable[[User], T], also: Callable[[User], bool] | None = None
) -> T:
    """What `then` gives for the user whose password this is, in one transaction with the look at the lock.

    `also`: a further proof, looked at after a right password; without it the password counts as wrong.

    Raises: InvalidCredentials, AccountLocked, as `user_login` says.
    """
    user = find_user(name_or_email)
    if user is None or not user.is_active:
        make_password(password)  # takes as long as checking one would
        raise InvalidCredentials(WRONG_LOGIN_TEXT)
    _refuse_locked(user)
    is_right = user.check_password(password)
    with transaction.atomic():
        # Tries at the same moment take turns, so that each is counted and none slips past the lock.
        current = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _refuse_locked(current)
        is_right = is_right and current.is_active and current.password == user.password
        if is_right and (also is None or also(current)):
            return then(current)
        _count_failure(current)
    raise InvalidCredentials(WRONG_LOGIN_TEXT)


def _refuse_locked(user: User) -> None:
    """Raises: AccountLocked."""
    if user.locked_until is not None and user.is_locked:
        left_s = max(1, math.ceil((user.locked_until - timezone.now()).total_seconds()))
        minutes = math.ceil(left_s / 60)
        raise AccountLocked(
            f"Too many failed sign-ins. Please try again in {minutes} minute{'' if minutes == 1 else 's'}.",
            retry_after_s=left_s,
            locked_until=time_text(user.locked_until),
        )


def _count_failure(user: User) -> None:
    now, memory = timezone.now(), timedelta(seconds=settings.ACCOUNT_LOCKOUT_SECONDS)
    is_recent = user.last_failed_at is not None and now - user.last_failed_at < memory
    user.failed_logins = user.failed_logins + 1 if is_recent else 1
    user.last_failed_at = now
    if user.failed_logins >= settings.ACCOUNT_LOCKOUT_ATTEMPTS:
        user.failed_logins, user.locked_until = 0, now + memory
        log.warning("account_locked", user=str(user.pk))
    user.save(update_fields=["failed_logins", "last_failed_at", "locked_until"])


def user_unlock(*, user: User) -> None:
    """Let the user try again at once."""
    user.failed_logins, user.last_failed_at, user.locked_until = 0, None, None
    user.save(update_fields=["failed_logins", "last_failed_at", "locked_until"])


def session_open(user: User, device: Device) -> SignIn:
    """A new session of a user who has just proved who they are. Call it in a transaction."""
    now = timezone.now()
    Session.objects.filter(user=user, expires_at__lt=now - KEEP_SESSIONS).delete()
    session = Session.objects.create(
        user=user,
        auth_time=now,
        expires_at=now + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS),
        user_agent=device.user_agent[:200],
        ip=device.ip,
    )
    user.last_login, user.failed_logins, user.last_failed_at, user.locked_until = now, 0, None, None
    user.save(update_fields=["last_login", "failed_logins", "last_failed_at", "locked_until"])
    log.info("signed_in", user=str(user.pk), session=str(session.pk))
    return SignIn(user, session, _issue(session, user))


def _issue(session: Session, user: User) -> TokenPair:
    pair = issue_pair(session, user)
    RefreshToken.objects.create(jti=pair.refresh_jti, session=session, expires_at=pair.refresh_expires_at)
    return pair


def session_refresh(*, refresh_token: str) -> SignIn:
    """Trade a refresh token for a new pair of the same session.

    A token that was traded already is taken once more within REFRESH_GRACE_SECONDS, since the phone's two HTTP
    stacks refresh independently (contract T6). Later it is taken as stolen, and the whole session ends.

    Raises: TokenInvalid, TokenExpired.
    """
    claims = parse_token(RefreshJWT, refresh_token)
    refused = TokenInvalid("Your sign-in is not valid any more. Please sign in again.")
    now = timezone.now()
    with transaction.atomic():
        # The lock on the session makes two refreshes of one token take turns.
        session = (
            Session.objects.select_for_update(of=("self",)).select_related("user").filter(pk=claims.session_id).first()
        )
        token = RefreshToken.objects.filter(jti=claims.jti, session_id=claims.session_id).first()
        if session is None or token is None or session.user_id != claims.user_id:
            raise refused
        if session.revoked_at is not None or not session.user.is_active:
            raise refused
        stolen = token.rotated_at is not None and now - token.rotated_at > timedelta(
            seconds=settings.REFRESH_GRACE_SECONDS
        )
        if stolen:
            _revoke(session, reason="reuse")
        else:
            if token.rotated_at is None:
                token.rotated_at = now
                token.save(update_fields=["rotated_at"])
            session.last_used_at = now
            session.expires_at = now + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
            session.save(update_fields=["last_used_at", "expires_at"])
            RefreshToken.objects.filter(session=session, expires_at__lt=now).delete()
            return SignIn(session.user, session, _issue(session, session.user))
    # Outside the transaction: raising inside would roll the revocation back.
    log.warning("refresh_token_reused", user=str(claims.user_id), session=str(claims.session_id))
    raise refused


def session_logout(*, session: Session, every: bool = False) -> None:
    """End the session, or every session of its user, at once: tokens are refused, open WebSockets are closed."""
    with transaction.atomic():
        chosen = Session.objects.filter(user_id=session.user_id) if every else Session.objects.filter(pk=session.pk)
        for one in chosen.filter(revoked_at=None):
            _revoke(one, reason="logout")


def sessions_revoke(*, user: User, reason: str) -> int:
    """End every session of the user; how many there were."""
    with transaction.atomic():
        live = list(Session.objects.filter(user=user, revoked_at=None))
        for session in live:
            _revoke(session, reason=reason)
    return len(live)


def session_revoke(*, user: User, session_id: UUID, reason: str = "logout") -> None:
    """End one of the user's sessions. Raises: NotFound."""
    with transaction.atomic():
        session = Session.objects.filter(pk=session_id, user=user, revoked_at=None).first()
        if session is None:
            raise NotFound("There is no such session.")
        _revoke(session, reason=reason)


def _revoke(session: Session, *, reason: str) -> None:
    session.revoked_at, session.revoked_reason = timezone.now(), reason
    session.save(update_fields=["revoked_at", "revoked_reason"])
    nudge_on_commit(session_group(session.pk), "session.revoked")
