"""The admin of what is open: what operators see, and that terminating asks, works, and is remembered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from environments.models import Environment
from environments.tests.homes import home_of
from terminals.admin import OpenTerminalAdmin
from terminals.models import OpenTerminal, TerminalShare

pytestmark = pytest.mark.django_db

LIST = "terminals_openterminal_changelist"
ASK = "terminals_openterminal_terminate"


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", "boss@example.org", PASSWORD)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="accounts.backends.LockoutBackend")
    return client


@pytest.fixture
def desk(boss: User) -> Client:
    """The operator's browser."""
    return signed_in(boss)


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user, host_private_key="kept-secret", password_hash="kept-secret")


def terminal_in(home: Environment, **columns: Any) -> OpenTerminal:
    fields = {"process": "host:1:aa", "channel_name": str(uuid4()), "kind": "terminal", "user": home.owner}
    return OpenTerminal.objects.create(environment=home, **{**fields, **columns})


def guest_in(home: Environment) -> OpenTerminal:
    link = TerminalShare.objects.create(
        environment=home, created_by=home.owner, token_digest=f"kept-secret-{uuid4()}", expires_at=timezone.now()
    )
    return terminal_in(home, user=None, share=link, mode="view")


def page(desk: Client, name: str, *args: Any, **query: str) -> str:
    response = desk.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def terminate(desk: Client, *terminals: OpenTerminal, **more: str) -> str:
    """What the operator sees after it."""
    data = {"action": "terminate", "_selected_action": [str(row.pk) for row in terminals], **more}
    response = desk.post(reverse(f"admin:{LIST}"), data, follow=True)
    assert response.status_code == 200
    return str(response.content.decode())


def listed(shown: str) -> set[str]:
    """The processes of the rows in the list."""
    return {part.partition("<")[0] for part in shown.split('class="field-process">')[1:]}


def test_users_and_guests_are_shown_with_what_they_have_open(desk: Client, home: Environment) -> None:
    terminal_in(home, session="devpocket_x")
    guest = guest_in(home)
    terminal_in(home, process="dead:9:99", seen_at=timezone.now() - timedelta(seconds=91))
    shown = page(desk, LIST)
    for url, row in (
        ("accounts_user_change", home.owner),
        ("terminals_terminalshare_change", guest.share),
        ("environments_environment_change", home),
    ):
        assert f'href="{reverse(f"admin:{url}", args=[row.pk])}"' in shown
    assert "devpocket_x" in shown
    assert "host:1:aa (2)" in shown  # how many each process has
    assert "dead:9:99" not in shown
    assert "kept-secret" not in shown + page(desk, "terminals_openterminal_change", guest.pk)


def test_it_can_be_searched_and_filtered(desk: Client, home: Environment) -> None:
    terminal_in(home, process="one")
    terminal_in(home, process="two", kind="logs")
    guest = guest_in(home)
    OpenTerminal.objects.filter(pk=guest.pk).update(process="three")
    for query, expected in (
        ({}, {"one", "two", "three"}),
        ({"process": "two"}, {"two"}),
        ({"kind__exact": "logs"}, {"two"}),
        ({"mode__exact": "view"}, {"three"}),
        ({"q": "ann"}, {"one", "two"}),
        ({"q": "Home"}, {"one", "two", "three"}),
        ({"q": str(guest.pk)}, {"three"}),
        ({"q": "nothing-of-this-name"}, set()),
    ):
        assert listed(page(desk, LIST, **query)) == expected, query


def test_the_list_takes_no_query_a_row(desk: Client, home: Environment, django_assert_num_queries: Any) -> None:
    terminal_in(home)
    guest_in(home)
    with CaptureQueriesContext(connection) as few:
        page(desk, LIST)
    assert sum("COUNT" in query["sql"] for query in few) == 2  # of the rows, for the pages; by process
    for _ in range(3):
        terminal_in(home)
        guest_in(home)
    with django_assert_num_queries(len(few)):
        page(desk, LIST)


def test_nothing_is_added_or_changed_by_hand(desk: Client, home: Environment) -> None:
    row = terminal_in(home)
    assert desk.get(reverse("admin:terminals_openterminal_add")).status_code == 403
    for what in ("change", "delete"):
        url = reverse(f"admin:terminals_openterminal_{what}", args=[row.pk])
        assert desk.post(url, {"process": "x", "post": "yes"}).status_code == 403
    assert OpenTerminal.objects.get().process == "host:1:aa"


def test_terminating_asks_first_then_acts_and_is_remembered(desk: Client, home: Environment) -> None:
    row, other = terminal_in(home), guest_in(home)
    asked = terminate(desk, row)
    assert "Terminate terminals?" in asked
    assert (str(row.pk) in asked, str(other.pk) in asked) == (True, False)
    assert not home.events.exists()
    assert "Terminated: 1 terminal(s)" in terminate(desk, row, post="yes")
    event = home.events.get()
    assert (event.kind, event.actor and event.actor.username) == ("terminal_terminated", "boss")
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id, entry.get_change_message()) == ("boss", str(row.pk), "Terminated")


def test_the_button_of_a_row_asks_for_that_row(desk: Client, home: Environment) -> None:
    row, other = terminal_in(home), guest_in(home)
    url = reverse(f"admin:{ASK}", args=[row.pk])
    assert f'class="button" href="{url}"' in page(desk, LIST)
    asked = page(desk, ASK, row.pk)
    assert f'action="{reverse(f"admin:{LIST}")}"' in asked
    for field in (f'value="{row.pk}"', 'name="action" value="terminate"', 'name="post" value="yes"'):
        assert field in asked
    assert str(other.pk) not in asked
    assert not home.events.exists()


def test_what_has_closed_meanwhile_is_told(desk: Client, home: Environment) -> None:
    row = terminal_in(home)
    row_pk = row.pk
    OpenTerminal.objects.all().delete()
    assert "not open any more" in page(desk, ASK, row_pk)
    assert "Terminated: 0 terminal(s)" in terminate(desk, row, post="yes")
    assert not home.events.exists()


def test_not_too_many_at_a_time(desk: Client, home: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenTerminalAdmin, "terminate_max", 1)
    rows = [terminal_in(home), terminal_in(home)]
    assert "Choose 1 at most." in terminate(desk, *rows, post="yes")
    assert not home.events.exists()
    assert "Terminated: 1 terminal(s)" in terminate(desk, rows[0], post="yes")


@pytest.mark.parametrize("verb", ["change", "delete"])
def test_staff_that_may_only_look_terminate_nothing(
    verb: str, home: Environment, sign_up: Callable[..., SignIn]
) -> None:
    row = terminal_in(home)
    looker = sign_up("looker", is_staff=True).user
    looker.user_permissions.add(Permission.objects.get(codename="view_openterminal"))
    client = signed_in(looker)
    url = reverse(f"admin:{ASK}", args=[row.pk])
    shown = page(client, LIST)
    assert (listed(shown), url in shown) == ({"host:1:aa"}, False)
    assert client.get(url).status_code == 403
    terminate(client, row, post="yes")
    assert not home.events.exists()
    looker.user_permissions.add(Permission.objects.get(codename=f"{verb}_openterminal"))
    assert url in page(client, LIST)
    assert "Terminated: 1 terminal(s)" in terminate(client, row, post="yes")


def test_without_signing_in_there_is_nothing(home: Environment, ann: SignIn) -> None:
    row = terminal_in(home)
    for client in (Client(), signed_in(ann.user)):  # who is no staff
        for url in (reverse(f"admin:{LIST}"), reverse(f"admin:{ASK}", args=[row.pk])):
            assert client.get(url)["Location"].startswith("/admin/login/")
