"""Delivering queued mails, and reading codes and links out of them as a person would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from django.core import mail
from django.core.mail import EmailMultiAlternatives

from accounts.mails import mail_deliver, mails_due
from devpocket.testing.secret_scan import learn


@dataclass(frozen=True)
class Letter:
    """`code`: the six digits; `url`: the whole link; `token`: what the link carries."""

    message: EmailMultiAlternatives
    code: str
    url: str
    token: str


def deliver() -> list[EmailMultiAlternatives]:
    """Deliver what is due; the messages that went out."""
    before = len(mail.outbox)
    for mail_id in mails_due(limit=100):
        mail_deliver(mail_id)
    return list(mail.outbox[before:])  # type: ignore[arg-type]


def read(message: EmailMultiAlternatives) -> Letter:
    [code] = re.findall(r"(?<![\w-])\d{6}(?![\w-])", message.body)
    [url] = re.findall(r"https?://\S+\?token=\S+", message.body)
    token = parse_qs(urlsplit(url).query)["token"][0]
    learn({"token": token})
    return Letter(message, code, url, token)


def newest(address: str) -> Letter:
    """Deliver what is due, and read the newest mail to the address."""
    deliver()
    return read([message for message in mail.outbox if message.to == [address]][-1])  # type: ignore[arg-type]


def other_code(code: str) -> str:
    """Six digits that are not these."""
    return f"{(int(code) + 1) % 1_000_000:06}"
