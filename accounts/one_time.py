"""Codes and links in mails (contract 3.5): six digits and a long random text, each good for the same thing, once.

Only hashes are stored; a new pair makes older ones useless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import OneTimeToken, User

Purpose = OneTimeToken.Purpose

LINK_BYTES = 32
CODE_DIGITS = 6
CODE_TRIES = 5
CODE_LIFE = timedelta(minutes=30)
LINK_LIFE = {Purpose.VERIFY_EMAIL: timedelta(hours=24), Purpose.RESET_PASSWORD: timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """What goes into the mail and nowhere else."""

    code: str = field(repr=False)
    link: str = field(repr=False)


def _link_hash(link: str) -> str:
    return hashlib.sha256(link.encode()).hexdigest()  # 256 random bits need no salt and no stretching


def _code_hash(code: str, user_id: object) -> str:
    # A million codes are tried in a second by whoever has the table, so the hash needs a key that isn't in it.
    return hmac.new(settings.SECRET_KEY.encode(), f"{user_id}:{code}".encode(), "sha256").hexdigest()


def token_issue(user: User, purpose: Purpose) -> IssuedToken:
    """A new code and link; the user's older ones for the same purpose are useless from now on."""
    now = timezone.now()
    issued = IssuedToken(f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}", secrets.token_urlsafe(LINK_BYTES))
    OneTimeToken.objects.update_or_create(
        user=user,
        purpose=purpose,
        defaults={
            "link_hash": _link_hash(issued.link),
            "code_hash": _code_hash(issued.code, user.pk),
            "link_expires_at": now + LINK_LIFE[purpose],
            "code_expires_at": now + CODE_LIFE,
            "wrong_codes": 0,
        },
    )
    return issued


def token_take(purpose: Purpose, secret: str, user: User | None) -> OneTimeToken | None:
    """The live token that `secret` opens, locked until the transaction ends; None where it opens none.

    Delete it to spend it. A wrong code is counted: call this in a transaction that is committed either way.
    """
    now = timezone.now()
    live = OneTimeToken.objects.select_for_update(of=("self",)).select_related("user").filter(purpose=purpose)
    if not (len(secret) == CODE_DIGITS and secret.isascii() and secret.isdigit()):
        return live.filter(link_hash=_link_hash(secret), link_expires_at__gt=now, user__is_active=True).first()
    if user is None:
        return None
    token = live.filter(user=user, code_expires_at__gt=now, wrong_codes__lt=CODE_TRIES, user__is_active=True).first()
    if token is None or hmac.compare_digest(token.code_hash, _code_hash(secret, user.pk)):
        return token
    token.wrong_codes += 1
    token.save(update_fields=["wrong_codes"])
    return None
