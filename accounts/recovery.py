"""Proving who one is by mail: verifying an address, setting a new password. And changing it while signed in."""

from __future__ import annotations

import hashlib

import structlog
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from accounts.errors import InvalidToken, TooManyMails
from accounts.mails import mail_queue
from accounts.models import Mail, User
from accounts.one_time import Purpose, token_take
from accounts.passwords import check_password_strength
from accounts.selectors import find_user
from accounts.services import Device, SignIn, session_open, sessions_revoke
from accounts.ssh_keys import ssh_keys_drop
from devpocket.errors import InvalidInput

log = structlog.get_logger(__name__)

RESEND_EVERY_S, RESENDS_MAX, RESENDS_WINDOW_S = 60, 3, 900
WRONG_CURRENT_TEXT = "Your current password is not correct."
REFUSED_TEXT = "This code or link is not valid any more. Please ask for a new one."


def email_verify(*, secret: str, user: User | None = None, email: str | None = None) -> User:
    """Verify the address that the link or code was sent to. A code needs to know whose it is: `user` or `email`.

    Raises: InvalidToken.
    """
    owner = user or (find_user(email) if email else None)
    with transaction.atomic():
        token = token_take(Purpose.VERIFY_EMAIL, secret, owner)
        if token is not None:
            token.delete()
            token.user.is_verified = True
            token.user.save(update_fields=["is_verified", "updated_at"])
    if token is None:
        raise InvalidToken(REFUSED_TEXT)
    log.info("email_verified", user=str(token.user_id))
    return token.user


def verification_resend(*, address: str) -> None:
    """Send a new code and link, if somebody unverified has the address; nothing tells whether.

    Raises: TooManyMails: one a minute, three in a quarter of an hour.
    """
    _count_mail(f"resend:{address.lower()}")
    mail_queue(kind=Mail.Kind.VERIFY_EMAIL, address=address)


def _count_mail(key: str) -> None:
    """Raises: TooManyMails. Counted by address, so that a known one is refused no sooner than an unknown one."""
    now = int(timezone.now().timestamp())
    last, *slots = _entries(key)
    if not cache.add(last, now, RESEND_EVERY_S):
        raise _too_many(cache.get(last, now) + RESEND_EVERY_S - now)
    # Each mail takes a slot for a quarter of an hour, so that no quarter of an hour sees more of them than slots.
    if not any(cache.add(slot, now, RESENDS_WINDOW_S) for slot in slots):
        cache.delete(last)
        raise _too_many(min(cache.get_many(slots).values(), default=now) + RESENDS_WINDOW_S - now)


def _entries(key: str) -> list[str]:
    """The cache's: for the last mail, and a slot for each of the quarter of an hour."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return [f"mail:{digest}:{name}" for name in ("last", *range(RESENDS_MAX))]


def _too_many(wait_s: int) -> TooManyMails:
    wait_s = max(1, wait_s)
    return TooManyMails(f"Please wait {wait_s} seconds before you ask for another email.", retry_after_s=wait_s)


def password_forgotten(*, address: str) -> None:
    """Send a code and link for a new password, if somebody has the address. The same work, and silence, if not."""
    try:
        _count_mail(f"forgot:{address.lower()}")
    except TooManyMails:
        return  # the answer is the same for every address; a mailbox is just not flooded
    mail_queue(kind=Mail.Kind.RESET_PASSWORD, address=address)


def password_reset(*, secret: str, new_password: str, email: str | None = None) -> User:
    """Set a new password by link or code, and end every session: whoever knew the old one is out.

    Raises: InvalidToken; InvalidInput on new_password, and then the link or code is good for another try.
    """
    owner = find_user(email) if email else None
    hashed = make_password(new_password)  # slow: before the lock
    with transaction.atomic():
        token = token_take(Purpose.RESET_PASSWORD, secret, owner)
        if token is not None:
            user = token.user
            check_password_strength(new_password, username=user.username, email=user.email, field="new_password")
            token.delete()
            if not user.is_verified:  # whoever signed up with this address may not have been its owner, who is here now
                ssh_keys_drop(user=user)
                user.is_verified = True
            _set_password(user, hashed)
            sessions_revoke(user=user, reason="password")
    if token is None:
        raise InvalidToken(REFUSED_TEXT)
    log.info("password_reset", user=str(token.user_id))
    return token.user


def password_change(*, user: User, current_password: str, new_password: str, device: Device) -> SignIn:
    """Set a new password, end every session, and sign the caller in again.

    Raises: InvalidInput on current_password or new_password.
    """
    if not user.check_password(current_password):
        raise InvalidInput.field("current_password", WRONG_CURRENT_TEXT)
    check_password_strength(new_password, username=user.username, email=user.email, field="new_password")
    hashed = make_password(new_password)
    with transaction.atomic():
        current = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if current.password != user.password:  # set anew since we looked: the current one isn't current any more
            raise InvalidInput.field("current_password", WRONG_CURRENT_TEXT)
        _set_password(current, hashed)
        sessions_revoke(user=current, reason="password")
        sign_in = session_open(current, device)
    log.info("password_changed", user=str(user.pk))
    return sign_in


def operator_password_set(*, user: User, new_password: str) -> None:
    """Set a new password that is strong enough, of an operator who has told the current one; end every session."""
    hashed = make_password(new_password)
    with transaction.atomic():
        current = User.objects.select_for_update(no_key=True).get(pk=user.pk)  # what else it says may have changed
        _set_password(current, hashed)
        sessions_revoke(user=current, reason="password")
    log.info("password_changed", user=str(user.pk))


def _set_password(user: User, hashed: str) -> None:
    user.password, user.failed_logins, user.last_failed_at, user.locked_until = hashed, 0, None, None
    user.save(
        update_fields=["password", "failed_logins", "last_failed_at", "locked_until", "is_verified", "updated_at"]
    )
    mail_queue(kind=Mail.Kind.PASSWORD_CHANGED, address=user.email)
