"""All that operators can do, over every list of the admin: who may, and what it leaves in the log."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import User
from devpocket.crypto import EncryptedJSONField, EncryptedTextField
from environments.models import EnvironmentEvent
from terminals.tests.admin.rows import Rows

pytestmark = pytest.mark.django_db
REGISTERED: dict[type[Model], admin.ModelAdmin] = dict(admin.site._registry)
ACTIONS = [(model, name) for model, of in REGISTERED.items() for _, name, _ in of._get_base_actions()]
SECRET = re.compile(r"password|digest|hash|secret|private|jti|token\b")
SHOWN = {"public_key", "host_public_key", "has_second_factor"}


def url_of(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def act(client: Client, model: type[Model], action: str) -> int:
    """The action on all there are; the status."""
    rows = (
        model._default_manager.exclude(pk=client.session["_auth_user_id"]) if model is User else model._default_manager
    )
    chosen = [str(pk) for (pk,) in rows.values_list("pk")[:50]]
    data = {"action": action, "_selected_action": chosen, "post": "yes"}
    return client.post(url_of(model, "changelist"), data).status_code


@pytest.fixture
def onlooker(db: None) -> Client:
    """Staff that may see everything and change nothing."""
    user = User.objects.create_user("onlooker", "onlooker@example.org", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user, backend="accounts.backends.LockoutBackend")
    return client


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_who_may_only_look_can_do_nothing(model: type[Model], onlooker: Client) -> None:
    Rows().add(1)
    row = model._default_manager.latest("pk")
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="onlooker")
    assert onlooker.get(url_of(model, "changelist")).status_code == 200
    assert REGISTERED[model].get_actions(request) == {}
    before = list(model._default_manager.values())
    for action in [name for of, name in ACTIONS if of is model]:
        act(onlooker, model, action)
    for page in ("change", "delete"):
        assert onlooker.post(url_of(model, page, row.pk), {"post": "yes"}).status_code == 403
    assert onlooker.post(url_of(model, "add"), {}).status_code == 403
    assert list(model._default_manager.values()) == before
    assert not LogEntry.objects.filter(user__username="onlooker").exists()


@pytest.mark.parametrize(("model", "action"), ACTIONS, ids=lambda part: getattr(part, "__name__", part))
def test_every_action_is_in_the_log_with_who_did_it_to_what(
    model: type[Model], action: str, desk: Client, boss: User
) -> None:
    Rows().add(12)  # environments in every phase
    Authenticator.objects.create(user=User.objects.get(username="user-3"), type="totp", data={})
    if action == "delete_selected" and not REGISTERED[model].has_delete_permission(_request(boss)):
        assert action not in REGISTERED[model].get_actions(_request(boss))
        return
    there = {str(pk) for (pk,) in model._default_manager.values_list("pk")}
    LogEntry.objects.all().delete()
    assert act(desk, model, action) == 302
    done = list(LogEntry.objects.all())
    assert done
    assert {entry.user_id for entry in done} == {boss.pk}
    assert {entry.object_id for entry in done} <= there
    assert all(entry.content_type.model_class() is model for entry in done)


@pytest.mark.parametrize("model", [LogEntry, EnvironmentEvent], ids=["log", "time line"])
def test_nobody_changes_what_was_logged(model: type[Model], desk: Client, boss: User) -> None:
    Rows().add(2)
    row = model._default_manager.latest("pk")
    assert REGISTERED[model].get_actions(_request(boss)) == {}
    for page in ("change", "delete"):
        assert desk.post(url_of(model, page, row.pk), {"post": "yes"}).status_code == 403
    assert desk.post(url_of(model, "add"), {}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_no_page_shows_a_column_with_a_secret(model: type[Model], desk: Client, boss: User) -> None:
    Rows().add(1)
    row = model._default_manager.latest("pk")
    ours, request = REGISTERED[model], _request(boss)
    shown = {*ours.get_list_display(request), *admin.utils.flatten(ours.get_fields(request, row))}
    for inline in ours.get_inline_instances(request, row):
        shown |= set(inline.get_fields(request, row))
        assert not _encrypted(inline.model) & set(inline.get_fields(request, row))
    assert {name for name in shown - SHOWN if SECRET.search(str(name))} == set()
    assert _encrypted(model) & shown == set()
    assert desk.get(url_of(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("is_superuser", [True, False])
def test_an_operators_row_is_changed_by_superusers_and_themselves_only(boss: User, is_superuser: bool) -> None:
    User.objects.filter(pk=boss.pk).update(is_superuser=is_superuser)
    clerk = User.objects.create_user("clerk", "clerk@example.org", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(clerk, backend="accounts.backends.LockoutBackend")
    assert client.post(url_of(User, "change", boss.pk), {"email": "clerk@example.org"}).status_code == 403
    assert act(client, User, "close_access") == 302
    assert User.objects.get(pk=boss.pk).is_active
    assert "is_staff" in REGISTERED[User].get_readonly_fields(_request(clerk), clerk)


def _request(user: User):  # type: ignore[no-untyped-def]
    request = RequestFactory().get("/")
    request.user = user
    return request


def _encrypted(model: type[Model]) -> set[str]:
    kinds = (EncryptedJSONField, EncryptedTextField)
    return {field.name for field in model._meta.fields if isinstance(field, kinds)}
