"""Operators' second factor: codes of an authenticator app (TOTP), and recovery codes for when it is lost. Sync.

allauth keeps and checks them (`allauth.mfa`); its pages are not routed, the admin has one (`second_factor_page.py`).
At rest they are encrypted as all secrets are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from uuid import UUID

import structlog
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.cache import cache
from django.db import transaction

from accounts.models import User
from devpocket import crypto

log = structlog.get_logger(__name__)

CODE_LIFE_S = 120  # longer than a code is taken (MFA_TOTP_TOLERANCE): each is good once
KEYS = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}  # in `data`, what is encrypted


class Adapter(DefaultMFAAdapter):
    """settings.MFA_ADAPTER: how allauth keeps secrets, and what an authenticator app shows."""

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.username


def find_authenticator(user: User) -> Authenticator | None:
    """The user's authenticator app; None: they have set up none."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()


def code_proven(user: User, code: str) -> bool:
    """Is this the app's code now, or a recovery code? Either is good for it once. Call it in a transaction."""
    for authenticator in Authenticator.objects.filter(user=user, type__in=KEYS).order_by("-type"):  # totp first
        if authenticator.wrap().validate_code(code) and cache.add(_used(user, code), 1, timeout=CODE_LIFE_S):
            authenticator.record_usage()
            if authenticator.type == Authenticator.Type.RECOVERY_CODES:
                _audit(user, user, "Used a recovery code")
            return True
    return False


def _used(user: User, code: str) -> str:
    return f"second-factor:{user.pk}:{normalize_user_code(code)}"


def secret_new() -> str:
    """For an authenticator app, in base32. It is nowhere until `second_factor_set_up`."""
    return generate_totp_secret()


def picture(user: User, secret: str) -> str:
    """The secret as a QR code that authenticator apps read: a data URL of an SVG."""
    adapter = get_adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


@transaction.atomic
def second_factor_set_up(*, user: User, secret: str, code: str) -> list[str] | None:
    """Ask for codes of this secret from now on; the recovery codes. None: the code is not one of the secret's.

    In place of what was set up before, whose sessions must prove themselves anew.
    """
    if not validate_totp_code(secret, code) or not cache.add(_used(user, code), 1, timeout=CODE_LIFE_S):
        return None
    Authenticator.objects.filter(user=user, type__in=KEYS).delete()
    TOTP.activate(user, secret)
    _audit(user, user, "Set up a second factor")
    return list(RecoveryCodes.activate(user).get_unused_codes())


@transaction.atomic
def recovery_codes_renew(*, user: User) -> list[str]:
    """New ones; those from before are worth nothing any more."""
    Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
    _audit(user, user, "Made new recovery codes")
    return list(RecoveryCodes.activate(user).get_unused_codes())


def recovery_codes_left(user: User) -> int:
    codes = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    return len(codes.wrap().get_unused_codes()) if codes else 0


@transaction.atomic
def second_factor_remove(*, user: User, actor: User, how: str = "") -> bool:
    """Ask the user for no code any more; an operator does it for another who has lost both. True: there was one."""
    deleted, _ = Authenticator.objects.filter(user=user, type__in=KEYS).delete()
    if deleted:
        _audit(user, actor, f"Removed the second factor{how}")
    return bool(deleted)


def second_factor_forget(*, user_id: UUID) -> None:
    """Of an account that is closed (settings.ACCOUNT_CLOSERS)."""
    Authenticator.objects.filter(user=user_id).delete()


def secrets_rotate() -> int:
    """Encrypt all anew with the first of FIELD_ENCRYPTION_KEYS; how many. Raises: InvalidToken, where no key fits."""
    rotated = 0
    for pk in Authenticator.objects.filter(type__in=KEYS).values_list("pk", flat=True):
        with transaction.atomic():  # a recovery code that is used meanwhile stays used
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is not None:
                key = KEYS[Authenticator.Type(row.type)]
                row.data[key] = crypto.encrypt(crypto.decrypt(row.data[key]))
                row.save(update_fields=["data"])
                rotated += 1
    return rotated


def sealed_secrets() -> Iterator[tuple[str, str]]:
    """All of them: whose each is, and its encrypted text."""
    for row in Authenticator.objects.filter(type__in=KEYS).iterator():
        yield f"the second factor of user {row.user_id}", row.data[KEYS[Authenticator.Type(row.type)]]


def _audit(user: User, actor: User, what: str) -> None:
    LogEntry.objects.log_actions(actor.pk, [user], CHANGE, change_message=what, single_object=True)
    log.warning("second_factor_changed", user=str(user.pk), actor=str(actor.pk), what=what)
