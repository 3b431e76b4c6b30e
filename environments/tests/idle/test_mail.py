"""The mail that warns of the stop."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.core import mail

from accounts.services import SignIn
from accounts.tests import mailbox
from environments.models import Environment
from environments.tests.idle.looking import Clock, look


@pytest.mark.django_db
def test_the_mail_says_what_and_when(home: Environment, clock: Clock) -> None:
    Environment.objects.filter(pk=home.pk).update(name="R&D <box>".replace("<", "(").replace(">", ")"))
    look(clock.at(50))
    mailbox.deliver()
    [message] = [message for message in mail.outbox if "stopped soon" in message.subject]
    assert message.to == ["ann@example.org"]
    assert message.subject == "R&D (box) will be stopped soon"
    for part in ("R&D (box)", "13:00 UTC", "60 minutes", django_settings.PUBLIC_URL):
        assert part in message.body
    [(html, kind)] = message.alternatives  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "R&amp;D (box)" in html


@pytest.mark.django_db
def test_a_mail_that_comes_too_late_is_not_sent(home: Environment, clock: Clock) -> None:
    look(clock.at(50))
    clock.at(61)
    mailbox.deliver()
    assert not [message for message in mail.outbox if "stopped soon" in message.subject]


@pytest.mark.django_db
def test_no_mail_goes_to_an_address_that_nobody_has_proved(home: Environment, clock: Clock, ann: SignIn) -> None:
    ann.user.is_verified = False
    ann.user.save()
    look(clock.at(50))
    mailbox.deliver()
    assert not [message for message in mail.outbox if "stopped soon" in message.subject]
