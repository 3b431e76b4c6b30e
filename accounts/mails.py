"""Mails as rows: queued in the transaction of what they tell of, delivered by whichever process comes first.

A request never waits for a mail server, and never fails because of one. `accounts/mailer.py` calls `mail_deliver`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Mail, User
from accounts.one_time import Purpose, token_issue
from devpocket.wakers import Wakers

log = structlog.get_logger(__name__)

CLAIM_S = 120  # longer than a mail server can take; then another process may try
FIRST_RETRY_S, LAST_RETRY_S = 30, 3600
GIVE_UP_AFTER = timedelta(hours=24)
KEEP = timedelta(days=7)  # sent mails, for operators

Context = dict[str, Any]  # of a Mail

wakers = Wakers()


def mail_queue(*, kind: Mail.Kind, address: str, context: dict[str, Any] | None = None) -> Mail:
    """Have a mail sent once the running transaction is in. `context`: plain JSON for its text, nothing secret."""
    mail = Mail.objects.create(kind=kind, address=address.lower()[:254], context=context or {})
    transaction.on_commit(wakers.wake)
    return mail


def mails_due(*, limit: int) -> list[int]:
    """Ids of mails whose time has come."""
    due = Mail.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return list(due.values_list("pk", flat=True)[:limit])


def mail_deliver(mail_id: int) -> None:
    """Send one mail, unless another process has it. Failures are retried with a growing pause for a day."""
    now = timezone.now()
    claim = Mail.objects.filter(pk=mail_id, next_try_at__lte=now)
    if not claim.update(next_try_at=now + timedelta(seconds=CLAIM_S)):
        return
    mail = Mail.objects.filter(pk=mail_id).first()
    if mail is None:
        return
    try:
        message = _write(mail)
        if message is not None:
            message.send()
    except Exception as error:  # noqa: BLE001 -- a mail server may fail in any way; the next try is the answer to all
        _retry(mail, error)
        return
    row = Mail.objects.filter(pk=mail_id)
    if message is None:
        row.delete()  # an address that nobody here has is none of our business
    else:
        row.update(next_try_at=None, sent_at=timezone.now(), error="")
    log.info("mail_sent" if message else "mail_dropped", mail=mail_id, kind=mail.kind)


def _retry(mail: Mail, error: Exception) -> None:
    now, tries = timezone.now(), mail.tries + 1
    name = type(error).__name__  # not its text: it can hold the mail
    is_hopeless = now - mail.created_at > GIVE_UP_AFTER
    pause_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(tries - 1, 10))
    next_try_at = None if is_hopeless else now + timedelta(seconds=pause_s)
    Mail.objects.filter(pk=mail.pk).update(tries=tries, error=name, next_try_at=next_try_at)
    log.warning("mail_failed", mail=mail.pk, kind=mail.kind, tries=tries, error=name, given_up=is_hopeless)


def mails_prune() -> None:
    """Forget mails that are done."""
    Mail.objects.filter(next_try_at=None, created_at__lt=timezone.now() - KEEP).delete()


def _write(mail: Mail) -> EmailMultiAlternatives | None:
    """The mail as it goes out; None where nobody (any more) is to get it."""
    user = User.objects.filter(email=mail.address, is_active=True).first()
    return None if user is None else WRITERS[Mail.Kind(mail.kind)](user, mail.context)


def _verify_email(user: User, context: Context) -> EmailMultiAlternatives | None:
    if user.is_verified:
        return None
    subject = _("Verify your email address for DevPocket")
    return _with_token(user, Purpose.VERIFY_EMAIL, subject, "/verify-email")


def _reset_password(user: User, context: Context) -> EmailMultiAlternatives:
    return _with_token(user, Purpose.RESET_PASSWORD, _("Set a new DevPocket password"), "/reset-password")


def _password_changed(user: User, context: Context) -> EmailMultiAlternatives:
    return _message(user, _("Your DevPocket password was changed"), Mail.Kind.PASSWORD_CHANGED)


def _idle_warning(user: User, context: Context) -> EmailMultiAlternatives | None:
    """`context`: {"name": of the machine, "stops_at": ISO time, "minutes": without use that its plan allows}."""
    stops_at = datetime.fromisoformat(context["stops_at"])
    # Its name is its owner's choice, so it goes to nobody who didn't prove that the address is theirs.
    if not user.is_verified or stops_at <= timezone.now():
        return None
    return _message(
        user,
        _("%(name)s will be stopped soon") % {"name": context["name"]},
        Mail.Kind.IDLE_WARNING,
        name=context["name"],
        time=f"{stops_at:%H:%M} UTC",
        minutes=str(context["minutes"]),
        link=settings.PUBLIC_URL,
    )


def _with_token(user: User, purpose: Purpose, subject: str, page: str) -> EmailMultiAlternatives:
    issued = token_issue(user, purpose)
    link = f"{settings.PUBLIC_URL.rstrip('/')}{page}?{urlencode({'token': issued.link})}"
    return _message(user, subject, purpose, code=issued.code, link=link)


def _message(user: User, subject: str, template: str, **context: str) -> EmailMultiAlternatives:
    # No greeting by name: whoever signs up chooses it and can write to anybody's address, and it may be six digits.
    context = {"subject": subject, **context}
    text = render_to_string(f"accounts/mail/{template}.txt", context)
    message = EmailMultiAlternatives(subject, text, to=[user.email])
    message.attach_alternative(render_to_string(f"accounts/mail/{template}.html", context), "text/html")
    return message


WRITERS: dict[Mail.Kind, Callable[[User, Context], EmailMultiAlternatives | None]] = {
    Mail.Kind.VERIFY_EMAIL: _verify_email,
    Mail.Kind.RESET_PASSWORD: _reset_password,
    Mail.Kind.PASSWORD_CHANGED: _password_changed,
    Mail.Kind.IDLE_WARNING: _idle_warning,
}
