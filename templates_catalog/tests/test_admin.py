"""The admin of templates: the same rules as everywhere, and what is done there goes through the services."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from conftest import PASSWORD
from templates_catalog.models import Template
from templates_catalog.tests.samples import LEAST, MOST

pytestmark = pytest.mark.django_db

LIST = reverse("admin:templates_catalog_template_changelist")
ADD = reverse("admin:templates_catalog_template_add")
CHANGE = reverse("admin:templates_catalog_template_change", args=["python"])
JSON_KEYS = ["tags", "default_resources", "environment_variables", "startup_commands", "config"]


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("boss", "boss@example.org", PASSWORD), backend="accounts.backends.LockoutBackend"
    )
    return client


def form(values: dict[str, Any]) -> dict[str, str]:
    """The fields as a browser sends them."""
    return {
        key: json.dumps(value) if key in JSON_KEYS else "" if value is None else str(value)
        for key, value in values.items()
    }


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {key: list(found) for key, found in response.context["adminform"].form.errors.items()}


def test_a_template_is_added(desk: Client) -> None:
    assert desk.post(ADD, form(MOST)).status_code == 302
    assert Template.objects.get().values() == MOST
    assert LogEntry.objects.get().object_id == "python"


def test_what_is_left_empty_has_its_default(desk: Client) -> None:
    fields = {**form(Template(**LEAST).values()), "tags": "", "environment_variables": "", "config": ""}
    assert errors(desk.post(ADD, {**fields, "default_resources": ""})) == {
        "default_resources": ["This field is required."]
    }
    assert desk.post(ADD, fields).status_code == 302
    assert Template.objects.get().values() == Template(**LEAST).values()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"name": "popular"}, {"name": "Is a word of the API's addresses."}),
        ({"tags": {}}, {"tags": "Must be a list."}),
        ({"default_port": 0}, {"default_port": "Must be at least 1."}),
        ({"config": {"pakages": []}}, {"config": "pakages is not known; did you mean packages?"}),
        ({"config": {"parts": ["x"]}}, {"config": "parts.0 must be one of postgresql."}),
        ({"environment_variables": {"A": 1}}, {"environment_variables": "A must be a text: put it in quotes."}),
        ({"icon_url": "javascript:x"}, {"icon_url": "Must be an http or https address."}),
    ],
)
def test_the_form_has_the_rules_of_the_files(desk: Client, changes: dict[str, Any], found: dict[str, str]) -> None:
    told = errors(desk.post(ADD, form({**MOST, **changes})))
    assert told == {key: [text] for key, text in found.items()}
    assert not Template.objects.exists()


def test_a_name_is_given_once(desk: Client) -> None:
    Template.objects.create(**MOST)
    assert errors(desk.post(ADD, form(LEAST | Template(**LEAST).values()))) == {
        "name": ["Template with this Name already exists."]
    }


def test_a_template_is_changed_and_keeps_name_and_count(desk: Client) -> None:
    Template.objects.create(**MOST, usage_count=3)
    assert desk.post(CHANGE, form({**MOST, "name": "snake", "version": "9"})).status_code == 302
    template = Template.objects.get()
    assert template.values() == {**MOST, "version": "9"}
    assert template.usage_count == 3


def no_room(template: Template) -> list[str]:
    return ["It is too large."] if template.default_port == 666 else []


def test_the_check_of_the_app_above_is_asked_and_shown(desk: Client, settings: Any) -> None:
    settings.TEMPLATE_CHECK = "templates_catalog.tests.test_admin.no_room"
    Template.objects.create(**MOST)
    assert "Nothing is wrong with it." in desk.get(CHANGE).content.decode()
    assert errors(desk.post(CHANGE, form({**MOST, "default_port": 666}))) == {"__all__": ["It is too large."]}
    Template.objects.update(default_port=666)
    assert "It is too large." in desk.get(CHANGE).content.decode()


def test_a_row_that_breaks_a_newer_rule_is_shown_with_what_is_wrong(desk: Client) -> None:
    Template.objects.create(**{**MOST, "config": {"packages": ["<b>"]}})
    page = desk.get(CHANGE).content.decode()
    assert "config.packages.0 must be a package&#x27;s name" in page
    assert "icon-no" in desk.get(LIST).content.decode()
    Template.objects.update(config=None)
    assert "icon-no" not in desk.get(LIST).content.decode()


def act(desk: Client, action: str, *names: str) -> None:
    assert desk.post(LIST, {"action": action, "_selected_action": names}).status_code == 302


def test_templates_are_taken_out_and_brought_back(desk: Client) -> None:
    for name, status in (("a", "active"), ("b", "beta"), ("c", "deprecated"), ("d", "active")):
        Template.objects.create(**{**LEAST, "name": name, "status": status})
    act(desk, "deprecate", "a", "c")
    assert dict(Template.objects.values_list("name", "status")) == {
        "a": "deprecated",
        "b": "beta",
        "c": "deprecated",
        "d": "active",
    }
    act(desk, "reactivate", "a", "b")
    assert dict(Template.objects.values_list("name", "status")) == {
        "a": "active",
        "b": "beta",
        "c": "deprecated",
        "d": "active",
    }
    told = [(entry.object_id, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]
    assert told == [("a", "Deprecated"), ("c", "Deprecated"), ("a", "Reactivated"), ("b", "Reactivated")]


def test_no_template_is_deleted(desk: Client) -> None:
    Template.objects.create(**MOST)
    url = reverse("admin:templates_catalog_template_delete", args=["python"])
    assert desk.post(url, {"post": "yes"}).status_code == 403
    assert "delete_selected" not in desk.get(LIST).content.decode()
    assert Template.objects.exists()


def test_staff_without_the_permission_only_looks(desk: Client) -> None:
    Template.objects.create(**MOST)
    User.objects.filter(username="boss").update(is_superuser=False)
    for url in (LIST, CHANGE, ADD):
        assert desk.get(url).status_code == 403
    desk.post(LIST, {"action": "deprecate", "_selected_action": ["python"]})
    assert Template.objects.get().status == "beta"


def test_what_machines_are_set_up_from_is_shown_with_its_size(desk: Client) -> None:
    Template.objects.create(**{**LEAST, "name": "python", "startup_commands": ["echo '<script>'"]})
    page = desk.get(CHANGE).content.decode()
    assert "of 65,536 bytes" in page
    assert "#cloud-config" in page
    assert "&lt;script&gt;" in page
    assert "<script>'" not in page


def test_a_row_that_breaks_a_rule_shows_no_preview_and_no_traceback(desk: Client) -> None:
    Template.objects.create(**{**LEAST, "name": "python"})
    Template.objects.filter(pk="python").update(config={"packages": 7})
    page = desk.get(CHANGE).content.decode()
    assert "Nothing, until it is put right." in page
