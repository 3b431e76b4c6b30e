"""Guest links in the admin: what operators see of them, and that they can end them."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from environments.lifecycle import Phase
from environments.models import Environment
from environments.tests.homes import home_of
from terminals.tests.test_shares import row_of

pytestmark = pytest.mark.django_db

LIST = "admin:terminals_terminalshare_changelist"


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user)


@pytest.fixture
def desk() -> Client:
    client = Client()
    boss = User.objects.create_superuser("boss", "boss@example.org", PASSWORD)
    client.force_login(boss, backend="accounts.backends.LockoutBackend")
    return client


def test_operators_see_links_but_no_digest(desk: Client, home: Environment) -> None:
    share = row_of(home, mode="write", session="pair")
    for url in (reverse(LIST), reverse("admin:terminals_terminalshare_change", args=[share.pk])):
        page = desk.get(url)
        assert page.status_code == 200
        shown = page.content.decode()
        assert "pair" in shown
        assert share.token_digest not in shown
    assert str(share.pk) in desk.get(reverse(LIST), {"mode__exact": "write"}).content.decode()
    assert str(share.pk) not in desk.get(reverse(LIST), {"mode__exact": "view"}).content.decode()
    assert str(share.pk) in desk.get(reverse(LIST), {"q": "ann@example"}).content.decode()
    assert desk.get(reverse("admin:terminals_terminalshare_add")).status_code == 403


def test_operators_revoke_links(desk: Client, home: Environment, ben: SignIn) -> None:
    gone = row_of(home_of(ben.user, name="Gone", phase=Phase.TERMINATED))
    share = row_of(home)
    data = {"action": "revoke", "_selected_action": [str(gone.pk), str(share.pk)]}
    shown = desk.post(reverse(LIST), data, follow=True).content.decode()
    assert "Revoked: 1 link(s)" in shown
    assert "There is no such environment." in shown
    share.refresh_from_db()
    assert share.revoked_at is not None
    assert [(event.kind, event.actor.username) for event in home.events.all()] == [("terminal_share_revoked", "boss")]
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Revoked"]
