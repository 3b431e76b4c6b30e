"""What administrators write through the API (contract section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from templates_catalog.importer import DATA_DIR, import_templates
from templates_catalog.models import Template
from templates_catalog.tests.samples import CONFIG, LEAST, MOST, SPOILT, without
from templates_catalog.tests.test_api import TEMPLATE

LIST = "/api/v1/templates"
ONE = f"{LIST}/python"
SLASHES = pytest.mark.parametrize("slash", ["", "/"])


@pytest.fixture
def python(db: None) -> Template:
    return Template.objects.create(**MOST)


def stored(name: str = "python") -> dict[str, Any]:
    return Template.objects.get(pk=name).values()


# --- Who may


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", LIST),
        ("put", ONE),
        ("patch", ONE),
        ("delete", ONE),
        ("put", f"{LIST}/nothing"),
        ("post", f"{LIST}/initialize"),
    ],
)
def test_writing_is_for_administrators(user_api: APIClient, method: str, path: str) -> None:
    body = {**LEAST, "name": "new"}
    wire.check_refusal(getattr(user_api, method)(path, body), 403, "admin_required")
    wire.check_refusal(getattr(APIClient(), method)(path, body), 401, "not_authenticated")
    assert [template.values() for template in Template.objects.all()] == [MOST]


def test_a_paying_user_is_no_administrator(sign_up: Callable[..., SignIn], client_of: Any) -> None:
    client = client_of(sign_up("rich", plan="pro"))
    wire.check_refusal(client.post(LIST, LEAST), 403, "admin_required")


# --- Create


@SLASHES
@pytest.mark.parametrize("fields", [LEAST, MOST], ids=["least", "most"])
def test_a_template_is_created(admin_api: APIClient, fields: dict[str, Any], slash: str) -> None:
    response = admin_api.post(f"{LIST}{slash}", fields)
    assert response.status_code == 201, response.content
    answer = wire.decode(response)
    wire.check(answer, TEMPLATE)
    assert {key: answer[key] for key in fields} == fields
    assert (answer["id"], answer["usage_count"]) == ("python", 0)
    assert wire.decode(admin_api.get(ONE)) == answer


def test_fields_may_have_their_other_spellings(admin_api: APIClient) -> None:
    body = {
        "id": "python",
        "displayName": "Python",
        "description": "x",
        "category": "devops",
        "docker_image": "debian-12-x64",
        "defaultPort": 8000,
        "defaultResources": {"cpu": "1"},
        "environmentVariables": {"camelCase": "1"},
        "startupCommands": ["ls"],
        "documentationUrl": "https://example.org",
        "iconUrl": "https://example.org/x.png",
    }
    assert admin_api.post(LIST, body).status_code == 201
    row = stored()
    assert (row["display_name"], row["image"], row["default_port"]) == ("Python", "debian-12-x64", 8000)
    assert row["environment_variables"] == {"camelCase": "1"}
    assert row["default_resources"] == {"cpu": "1", "memory": "1Gi", "storage": "10Gi"}
    assert (row["icon_url"], row["startup_commands"]) == ("https://example.org/x.png", ["ls"])
    admin_api.put(ONE, {"dockerImage": "ubuntu-22-04-x64"})
    assert stored()["image"] == "ubuntu-22-04-x64"


def test_null_and_what_is_unknown_are_as_if_left_out(admin_api: APIClient) -> None:
    nulls = dict.fromkeys(key for key in [*MOST, "docker_image", "id"] if key not in LEAST)
    resources = {"cpu": None, "memory": "2Gi", "gpu": "7"}
    body = {**LEAST, **nulls, "default_resources": resources, "config": {"min_size": None}}
    body |= {"usage_count": 7, "created_at": "x", "colour": "red", "": 1}
    assert admin_api.post(LIST, body).status_code == 201
    defaults = Template(**LEAST).values()
    resources = {**defaults["default_resources"], "memory": "2Gi"}
    assert stored() == {**defaults, "default_resources": resources, "config": {}}
    assert Template.objects.get().usage_count == 0


@pytest.mark.parametrize("status", ["active", "deprecated"])
def test_a_name_is_given_once(admin_api: APIClient, status: str) -> None:
    Template.objects.create(**{**LEAST, "status": status})
    body = wire.check_refusal(admin_api.post(LIST, MOST), 409, "name_taken")
    assert body["detail"] == "There is a template named python already."
    assert "duplicate" not in body["detail"]


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_creates_it(admin_api: APIClient) -> None:
    def create(_: int) -> int:
        client = APIClient()
        client.credentials(**admin_api._credentials)
        return int(client.post(LIST, LEAST).status_code)

    assert sorted(in_parallel(create, count=4)) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"name": None}, {"name": "null"}),
        ({"name": "Py thon"}, {"name": "invalid"}),
        ({"name": "node"}, {"name": "invalid"}),
        ({"name": "popular"}, {"name": "invalid"}),
        ({"display_name": ""}, {"display_name": "blank"}),
        ({"displayName": 7, "display_name": 8}, {"display_name": "invalid"}),
        ({"category": "snake"}, {"category": "unknown_choice"}),
        ({"default_port": "8080"}, {"default_port": "invalid"}),
        ({"default_resources": []}, {"default_resources": "invalid"}),
        ({"default_resources": {"cpu": 1}}, {"default_resources.cpu": "invalid"}),
        ({"environment_variables": {"A": None}}, {"environment_variables.A": "null"}),
        ({"environment_variables": {"A": "\ud800", "B": "\0"}},
         {"environment_variables.A": "invalid", "environment_variables.B": "invalid"}),
        ({"tags": ["a", 1, None]}, {"tags.1": "invalid", "tags.2": "null"}),
        ({"config": {"pakages": []}}, {"config.pakages": "invalid"}),
        ({"config": {"cloud_init": {"write_files": [{"path": "/etc/devpocket/x"}]}}},
         {"config.cloud_init.write_files.0.content": "required", "config.cloud_init.write_files.0.path": "invalid"}),
        ({"image": "a", "docker_image": "b"}, {"docker_image": "invalid"}),
        ({"id": "other"}, {"id": "invalid"}),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_told_by_its_field(
    admin_api: APIClient, changes: dict[str, Any], codes: dict[str, str]
) -> None:
    assert wire.field_codes(admin_api.post(LIST, **wire.body({**LEAST, **changes}))) == codes
    assert not Template.objects.exists()


@pytest.mark.parametrize("key", LEAST)
def test_what_has_no_default_is_required(admin_api: APIClient, key: str) -> None:
    assert wire.field_codes(admin_api.post(LIST, without(key, MOST))) == {key: "required"}


def test_an_empty_body_lacks_all_of_it(admin_api: APIClient) -> None:
    assert wire.field_codes(admin_api.post(LIST)) == dict.fromkeys(LEAST, "required")


def test_a_refusal_is_a_sentence(admin_api: APIClient) -> None:
    body = wire.check_refusal(admin_api.post(LIST, {**LEAST, "display_name": ""}), 422, "invalid_input")
    assert body["detail"] == "Display name must not be empty."
    body = wire.check_refusal(admin_api.post(LIST, {**LEAST, "tags": ["x" * 51]}), 422, "invalid_input")
    assert body["detail"] == "tags.0 must have at most 50 characters."


@given(SPOILT)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_is_taken_or_refused(admin_api: APIClient, template: dict[str, Any]) -> None:
    Template.objects.all().delete()
    body = wire.body(template)
    created = admin_api.post(LIST, **body)
    if created.status_code == 201:
        wire.check(wire.decode(created), TEMPLATE)
    elif created.status_code == 422:
        wire.check_refusal(created, 422, "invalid_input")
    else:
        wire.check_refusal(created, 400, "malformed_json")  # NaN and Infinity, which Python writes and JSON has not


def no_room(template: Template) -> list[str]:
    return ["It is too large.", "Really."] if template.default_port == 666 else []


@pytest.mark.usefixtures("python")
def test_what_the_app_above_has_against_it_is_told(admin_api: APIClient, settings: Any) -> None:
    settings.TEMPLATE_CHECK = "templates_catalog.tests.test_api_writes.no_room"
    for answer in (
        admin_api.post(LIST, {**LEAST, "name": "new", "default_port": 666}),
        admin_api.patch(ONE, {"default_port": 666}),
    ):
        body = wire.check_refusal(answer, 422, "invalid_input")
        assert body["detail"] == "It is too large."
        assert [(error["field"], error["message"]) for error in body["errors"]] == [
            ("non_field_errors", "It is too large."),
            ("non_field_errors", "Really."),
        ]
    assert [template.values() for template in Template.objects.all()] == [MOST]
    assert admin_api.patch(ONE, {"default_port": 667}).status_code == 200


# --- Change


@SLASHES
@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("name", ["python", "PYTHON", "python-3.11"])
def test_what_is_given_changes_and_the_rest_stays(
    admin_api: APIClient, python: Template, method: str, name: str, slash: str
) -> None:
    Template.objects.update(usage_count=5)
    body = {"version": "2.0.0", "tags": [], "defaultPort": 1}
    answer = wire.decode(getattr(admin_api, method)(f"{LIST}/{name}{slash}", body))
    wire.check(answer, TEMPLATE)
    assert stored() == {**MOST, "version": "2.0.0", "tags": [], "default_port": 1}
    assert {key: answer[key] for key in MOST} == stored()
    assert answer["usage_count"] == 5
    assert wire.decode(admin_api.get(ONE)) == answer


@pytest.mark.usefixtures("python")
def test_a_change_replaces_a_map_as_a_whole(admin_api: APIClient) -> None:
    admin_api.patch(ONE, {"environment_variables": {"B": "2"}, "config": {"packages": []}})
    assert stored()["environment_variables"] == {"B": "2"}
    assert stored()["config"] == {"packages": []}


@pytest.mark.usefixtures("python")
def test_null_takes_away_what_may_be_null_and_leaves_the_rest(admin_api: APIClient) -> None:
    assert admin_api.put(ONE, dict.fromkeys([*MOST, "id", "docker_image", "colour"])).status_code == 200
    assert stored() == {**MOST, "config": None, "documentation_url": None, "icon_url": None}


@pytest.mark.parametrize("body", [{}, {"version": MOST["version"]}, {"name": "python", "id": "PYTHON"}, MOST])
def test_what_changes_nothing_leaves_the_row_alone(admin_api: APIClient, python: Template, body: Any) -> None:
    assert admin_api.put(ONE, body).status_code == 200
    assert Template.objects.get().updated_at == python.updated_at


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("body", [{"name": "snake"}, {"id": "snake"}, {"name": 7}, {"name": ""}, {"id": ["python"]}])
def test_a_template_keeps_its_name(admin_api: APIClient, method: str, body: dict[str, Any]) -> None:
    answer = getattr(admin_api, method)(ONE, {**body, "version": "9"})
    assert wire.field_codes(answer) == dict.fromkeys(body, "immutable")
    assert stored() == MOST


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_change_that_breaks_a_rule_changes_nothing(admin_api: APIClient, method: str) -> None:
    body = {"version": "9", "config": {**CONFIG, "packages": ["X"]}, "tags": [1]}
    codes = {"config.packages.0": "invalid", "tags.0": "invalid"}
    assert wire.field_codes(getattr(admin_api, method)(ONE, body)) == codes
    assert stored() == MOST


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("name", ["nothing", "a%00b", "x" * 300, "%20"])
def test_what_is_not_there_cannot_be_changed(admin_api: APIClient, method: str, name: str) -> None:
    wire.check_refusal(getattr(admin_api, method)(f"{LIST}/{name}", {}), 404, "not_found")


# --- Take out, bring back


@SLASHES
def test_a_deleted_template_is_deprecated(
    admin_api: APIClient, user_api: APIClient, python: Template, slash: str
) -> None:
    for _ in range(2):  # repeating it is harmless
        answer = admin_api.delete(f"{LIST}/PYTHON{slash}")
        assert answer.status_code == 200
        assert wire.decode(answer) == {"message": "Python is not offered any more."}
    assert stored() == {**MOST, "status": "deprecated"}
    wire.check_refusal(user_api.get(ONE), 404, "not_found")
    assert wire.decode(admin_api.get(ONE))["status"] == "deprecated"
    assert wire.decode(admin_api.patch(ONE, {"status": "active"}))["status"] == "active"
    assert user_api.get(ONE).status_code == 200


def test_one_that_breaks_a_newer_rule_can_be_taken_out(admin_api: APIClient) -> None:
    Template.objects.create(**{**LEAST, "category": "snake"})
    assert admin_api.delete(ONE).status_code == 200
    assert stored()["status"] == "deprecated"


# --- The set that comes along


@SLASHES
def test_initializing_creates_what_is_missing_and_changes_nothing(admin_api: APIClient, slash: str) -> None:
    names = {path.stem for path in DATA_DIR.glob("*.yaml")}
    Template.objects.create(**{**LEAST, "status": "deprecated"})
    answer = wire.decode(admin_api.post(f"{LIST}/initialize{slash}"))
    text_list = {"templates_created": wire.texts, "message": wire.text}
    wire.check(answer, {**text_list, "created": wire.whole, "skipped": wire.whole})
    assert (answer["created"], answer["skipped"]) == (len(names) - 1, 1)
    assert set(answer["templates_created"]) == names - {"python"}
    assert stored() == {**Template(**LEAST).values(), "status": "deprecated"}
    assert set(Template.objects.values_list("pk", flat=True)) == names
    again = wire.decode(admin_api.post(f"{LIST}/initialize{slash}", {"force": True}))
    assert (again["created"], again["skipped"], again["templates_created"]) == (0, len(names), [])
    wire.check_refusal(admin_api.get(f"{LIST}/initialize{slash}"), 405, "method_not_allowed")


def test_importing_and_initializing_make_the_same_rows(admin_api: APIClient) -> None:
    import_templates()
    imported = {template.name: template.values() for template in Template.objects.all()}
    Template.objects.all().delete()
    admin_api.post(f"{LIST}/initialize")
    assert {template.name: template.values() for template in Template.objects.all()} == imported
