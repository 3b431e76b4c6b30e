"""POST /environments: what is taken, what is refused, and within which limits (contract 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.models import Environment, EnvironmentEvent
from environments.tests.api import ENVIRONMENTS, ClientOf, decode_environment, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates", "cloud")]

NESTED = ["x", {"a": 1}, ["y"]]  # for fields that want a text
SPECIALS = [
    "$(touch /tmp/x); `id` && rm -rf ~ | cat > a",
    "'\"\\",
    "# comment: yes",
    "key: [a, {b: &c *d}] !!python/object:os.system",
    "- | > %TAG @at ? null ~ true 0o7 1e3",
    "{{ jinja }} ${VAR} %s %(x)s",
    "ünïcödé 日本語 \U0001f600",
    "a\u2028b\u0085c\ufeffd",
    "EOF",
]

HIDDEN = ["a\u200bb", "a\u202eb", "a\u2066b", "\ufeffa", "a\u00adb", "a\u2028b", "a\u2029b", "a\ue000b", "a\U000e0041"]
HIDDEN += ["\u200d", "\ufe0f \u200d", "\U000e0100"]  # allowed between others, but nothing to see alone


@pytest.mark.parametrize("given", ["Node", "NODEJS", "nodejs-18"])
@pytest.mark.parametrize("field", ["template", "template_id"])
def test_a_template_is_found_by_its_other_names(given: str, field: str, ann: SignIn, client_of: ClientOf) -> None:
    assert post(client_of(ann), name="Web", **{field: given}).json()["template_id"] == "nodejs"


def test_camel_case_is_taken_and_snake_case_wins(ann: SignIn, client_of: ClientOf) -> None:
    body = {
        "name": "A",
        "templateId": "python",
        "template_id": "ubuntu",
        "environmentVariables": {"camelCase": "1"},
        "storageSizeGb": 7,
        "resourceLimits": {"cpu": "500m"},
        "userPassword": "Linux-Password-1",
        "noSuchField": {"x": 1},
    }
    answer = decode_environment(client_of(ann).post(ENVIRONMENTS, body, format="json"))
    assert (answer["template_id"], answer["environment_variables"]) == ("ubuntu", {"camelCase": "1"})
    assert answer["storage_size_gb"] == 7
    assert Environment.objects.get().password_hash.startswith("$6$")


@pytest.mark.parametrize("spelling", [("templateId", "storageSizeGb"), ("template_id", "storage_size_gb")])
def test_a_refusal_names_the_field_as_the_contract_does(
    spelling: tuple[str, str], ann: SignIn, client_of: ClientOf
) -> None:
    template, storage = spelling
    answer = post(client_of(ann), name="A", **{template: "ubuntu", storage: "ten"})
    assert wire.field_codes(answer) == {"storage_size_gb": "invalid"}


def test_null_is_taken_for_every_optional_field(ann: SignIn, client_of: ClientOf) -> None:
    optional = "template description region size storage_size_gb user_password resources resource_limits".split()
    answer = post(client_of(ann), name="A", template_id="ubuntu", environment_variables=None, **dict.fromkeys(optional))
    body = decode_environment(answer)
    assert (body["storage_size_gb"], body["size"], body["environment_variables"]) == (10, "s-1vcpu-512mb-10gb", {})
    answer = post(client_of(ann), name="A", template_id="ubuntu", resources={"cpu": None, "memory": None})
    wire.check_refusal(answer, 403, "environment_limit_reached")  # taken as well


def cases() -> list[tuple[dict[str, Any], str, str]]:
    """(fields, the field that is named, its code)."""
    texts = ("name", "template_id", "template", "description", "region", "size", "user_password")
    wrong_type: list[tuple[dict[str, Any], str, str]] = []
    for field in texts:
        named = "template_id" if field == "template_id" else field
        wrong_type += [({field: wrong}, named, "invalid") for wrong in ({"a": 1}, ["x"], True, 12345678, 1.5)]
    for field in ("resources", "resource_limits"):
        wrong_type += [({field: wrong}, field, "invalid") for wrong in ("big", [], 1, True)]
        for member in ("cpu", "memory", "storage"):
            wrong = (
                "many",
                "",
                " 1",
                "-1",
                "1 Gi",
                "1gi",
                "1" * 13 + "Gi",
                {"x": 1},
                ["1"],
                "\uff11Gi",
                "1Gi\n",
                1,
                True,
            )
            wrong_type += [({field: {member: value}}, f"{field}.{member}", "invalid") for value in wrong if value]
            wrong_type += [({field: {member: ""}}, f"{field}.{member}", "blank")]
    storage = [("10", "invalid"), (True, "invalid"), (2.5, "invalid"), (10.0, "invalid"), ([1], "invalid")]
    storage += [({}, "invalid"), (0, "min_value"), (-1, "min_value"), (11, "max_value"), (10**30, "max_value")]
    variables: list[Any] = [[], "A=1", 1, True, {"1A": "x"}, {"": "x"}, {"A-B": "x"}, {"A B": "x"}, {"Ä": "x"}]
    variables += [{"A\n": "x"}, {"A" * 129: "x"}, {"A": 1}, {"A": None}, {"A": True}, {"A": ["x"]}, {"A": {}}]
    variables += [{"A": "x" * 4097}, {"A": "\0"}, {"A": "\ud800"}, {"DEVPOCKET_X": "1"}]
    variables += [{f"V{number}": "" for number in range(101)}]
    return [
        *wrong_type,
        ({"name": None}, "name", "null"),
        ({"name": ""}, "name", "blank"),
        ({"name": "   "}, "name", "blank"),
        ({"name": "x" * 51}, "name", "max_length"),
        *(({"name": name}, "name", "invalid") for name in ("a\x07b", "a\0b", "a\nb", "a\x85b", "<b>", "a>b", "\ud800")),
        *(({"name": name}, "name", "invalid") for name in HIDDEN),
        ({"template_id": None}, "template_id", "required"),
        *(({"template_id": name}, "template_id", "unknown_choice") for name in ("no-such", "../x", "a\nb")),
        ({"template_id": "x" * 101}, "template_id", "max_length"),
        ({"template_id": "python", "template": "ubuntu"}, "template_id", "invalid"),
        ({"description": "x" * 501}, "description", "max_length"),
        *(({field: "a\0b"}, field, "invalid") for field in ("description", "region", "size", "user_password")),
        *(({field: "\ud800"}, field, "invalid") for field in ("description", "region", "size", "user_password")),
        ({"region": "atlantis"}, "region", "unknown_choice"),
        ({"region": "nyc2"}, "region", "unknown_choice"),  # takes no new machines
        ({"region": "x" * 51}, "region", "max_length"),
        ({"size": "s-enormous"}, "size", "unknown_choice"),
        ({"size": "x" * 51}, "size", "max_length"),
        ({"region": "tor1", "size": "s-1vcpu-512mb-10gb"}, "size", "unknown_choice"),  # not offered there
        *(({"storage_size_gb": value}, "storage_size_gb", code) for value, code in storage),
        ({"user_password": "short"}, "user_password", "min_length"),
        ({"user_password": "x" * 129}, "user_password", "max_length"),
        *(({"environment_variables": value}, "environment_variables", "invalid") for value in variables),
    ]


@pytest.mark.parametrize(("fields", "field", "code"), cases())
def test_bad_input_names_its_field_and_creates_nothing(
    fields: dict[str, Any], field: str, code: str, ann: SignIn, client_of: ClientOf
) -> None:
    answer = post(client_of(ann), **{"name": "Good", "template_id": "ubuntu", **fields})
    assert wire.field_codes(answer) == {field: code}
    assert Environment.objects.count() == 0


@pytest.mark.parametrize("body", ["", "[]", "1", "null", '"x"', "{", "{'name': 1}", "nonsense", '{"name": NaN}'])
def test_a_body_that_is_no_object_creates_nothing(body: str, ann: SignIn, client_of: ClientOf) -> None:
    answer = client_of(ann).post(ENVIRONMENTS, body, content_type="application/json")
    assert answer.status_code == (422 if body == "" else 400)
    wire.check_refusal(answer, answer.status_code, "invalid_input" if body == "" else "malformed_json")
    assert Environment.objects.count() == 0


@pytest.mark.parametrize("special", SPECIALS)
def test_shell_and_yaml_specials_come_back_as_they_were_given(special: str, ann: SignIn, client_of: ClientOf) -> None:
    """Or are refused: never changed, never a 500. That they do no harm on the machine, test_cloud_init.py sees."""
    client = client_of(ann)
    given = {"description": special, "environment_variables": {"A": special}, "user_password": f"{special}-12345678"}
    body = decode_environment(post(client, name="Env", template_id="ubuntu", **given))
    assert (body["description"], body["environment_variables"]) == (special, {"A": special})
    again = decode_environment(client.get(f"{ENVIRONMENTS}/{body['id']}"))
    assert again["environment_variables"] == {"A": special}
    Environment.objects.update(phase="terminated")
    named = post(client, name=special, template_id="ubuntu")
    if any(character in special for character in "<>\u0085"):
        assert wire.field_codes(named) == {"name": "invalid"}
    else:
        named_body = decode_environment(named)
        assert named_body["name"] == special
        assert named_body["slug"].replace("-", "").isascii()
        assert named_body["slug"].replace("-", "").isalnum()
    for field in ("template_id", "region", "size"):
        answer = post(client, **{"name": "Env", "template_id": "ubuntu", field: special})
        assert wire.field_codes(answer) == {field: "unknown_choice"}


@pytest.mark.parametrize("name", ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "I \u2764\ufe0f it", "ünïcödé 日本語"])
def test_emoji_of_several_parts_are_names(name: str, ann: SignIn, client_of: ClientOf) -> None:
    assert decode_environment(post(client_of(ann), name=name, template_id="ubuntu"))["name"] == name


def test_the_longest_that_fits_is_taken(ann: SignIn, client_of: ClientOf) -> None:
    variables = {f"V{number}": "x" * 4096 for number in range(99)} | {"_" + "a" * 127: "last"}
    body = decode_environment(
        post(
            client_of(ann),
            name="n" * 50,
            template_id="ubuntu",
            description="d" * 500,
            user_password="p" * 128,
            environment_variables=variables,
        )
    )
    assert body["environment_variables"] == variables
    assert len(body["slug"]) <= 63


# --- What the plan, the region and the template leave open


@pytest.mark.parametrize(
    "fields",
    [
        {"size": "s-1vcpu-1gb"},
        {"size": "s-2vcpu-2gb"},
        {"resources": {"memory": "2Gi"}},
        {"resource_limits": {"cpu": "2"}},
        {"resource_limits": {}, "resources": {"memory": "2Gi"}},
        {"resource_limits": {"cpu": "1", "memory": None}, "resources": {"memory": "2Gi"}},
        {"resources": {"memory": "900Ti"}},
        {"region": "tor1"},  # which hasn't the only size of the plan
    ],
)
def test_a_size_beyond_the_plan_is_refused(fields: dict[str, Any], ann: SignIn, client_of: ClientOf) -> None:
    wire.check_refusal(post(client_of(ann), name="Big", template_id="ubuntu", **fields), 403, "size_not_allowed")
    assert Environment.objects.count() == 0


@pytest.mark.parametrize(
    ("plan", "size", "status"),
    [
        ("starter", "s-1vcpu-1gb", 201),
        ("starter", "s-2vcpu-2gb", 403),
        ("starter", "s-1vcpu-2gb", 403),
        ("pro", "s-2vcpu-2gb", 201),
        ("pro", "s-4vcpu-8gb", 201),
        ("admin", "s-4vcpu-8gb", 201),
    ],
)
def test_plans_have_their_sizes(
    plan: str, size: str, status: int, sign_up: Callable[..., SignIn], client_of: ClientOf
) -> None:
    answer = post(client_of(sign_up("pat", plan=plan, is_verified=True)), name="E", template_id="ubuntu", size=size)
    assert answer.status_code == status


@pytest.mark.parametrize(("plan", "cap_gb"), [("free", 10), ("starter", 25), ("pro", 100), ("admin", 500)])
def test_plans_have_their_volumes(plan: str, cap_gb: int, sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    client = client_of(sign_up("pat", plan=plan, is_verified=True))
    refused = post(client, name="E", template_id="ubuntu", storage_size_gb=cap_gb + 1)
    assert wire.field_codes(refused) == {"storage_size_gb": "max_value"}
    assert post(client, name="E", template_id="ubuntu", storage_size_gb=cap_gb).json()["storage_size_gb"] == cap_gb


def test_storage_is_the_volumes_own_field(ann: SignIn, client_of: ClientOf) -> None:
    body = post(client_of(ann), name="E", template_id="ubuntu", resources={"storage": "900Gi"}).json()
    assert (body["size"], body["storage_size_gb"]) == ("s-1vcpu-512mb-10gb", 10)


def test_resources_choose_the_smallest_size_that_fits(sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    client = client_of(sign_up("pat", plan="pro", is_verified=True))
    sizes = [
        post(client, name=f"E{number}", template_id="ubuntu", resources=resources).json()["size"]
        for number, resources in enumerate(({"memory": "600M"}, {"cpu": "1500m"}, {"memory": "2Gi", "cpu": "1"}))
    ]
    assert sizes == ["s-1vcpu-1gb", "s-2vcpu-2gb", "s-1vcpu-2gb"]


@pytest.mark.parametrize(
    ("preferred", "default", "region"),
    [
        ("fra1", "nyc3", "fra1"),
        (None, "lon1", "lon1"),
        ("nyc2", "lon1", "lon1"),  # takes no new machines
        ("tor1", "lon1", "lon1"),  # hasn't the plan's size
        ("gone1", "tor1", "ams3"),  # neither: any that can
    ],
)
def test_where_it_is_made_when_nobody_says(
    preferred: str | None,
    default: str,
    region: str,
    sign_up: Callable[..., SignIn],
    client_of: ClientOf,
    settings: Any,
) -> None:
    settings.DO_DEFAULT_REGION = default
    client = client_of(sign_up("sam", is_verified=True, preferred_region=preferred))
    assert post(client, name="E", template_id="ubuntu").json()["region"] == region


def test_an_unverified_user_may_not_create(sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    answer = post(client_of(sign_up("new")), name="")  # before its input is looked at
    wire.check_refusal(answer, 403, "email_not_verified")


def test_the_limit_is_told_and_a_deleted_environment_makes_room(ann: SignIn, client_of: ClientOf) -> None:
    client = client_of(ann)
    first = post(client, name="One", template_id="ubuntu").json()
    refused = wire.check_refusal(post(client, name="One", template_id="ubuntu"), 403, "environment_limit_reached")
    assert refused["context"] == {"plan": "free", "limit": 1, "current": 1}
    assert wire.field_codes(post(client, name="", template_id="ubuntu")) == {"name": "blank"}  # is told first
    assert client.delete(f"{ENVIRONMENTS}/{first['id']}").status_code == 204
    assert post(client, name="One", template_id="ubuntu").status_code == 201


def test_a_name_is_taken_in_any_case(sign_up: Callable[..., SignIn], client_of: ClientOf) -> None:
    client = client_of(sign_up("sam", plan="starter", is_verified=True))
    assert post(client, name="Blog", template_id="ubuntu").status_code == 201
    wire.check_refusal(post(client, name=" bLOG ", template_id="ubuntu"), 409, "name_taken")


@pytest.mark.django_db(transaction=True)
def test_two_creates_at_once_on_free_give_one(ann: SignIn, client_of: ClientOf) -> None:
    codes = in_parallel(
        lambda number: int(post(client_of(ann), name=f"E{number}", template_id="ubuntu").status_code), count=4
    )
    assert sorted(codes) == [201, 403, 403, 403]
    assert Environment.objects.count() == EnvironmentEvent.objects.filter(kind="create_requested").count() == 1


def test_secrets_are_encrypted_at_rest_and_the_password_is_stored_nowhere(ann: SignIn, client_of: ClientOf) -> None:
    password = "Linux-Password-1"
    body = {"name": "E", "template_id": "ubuntu", "user_password": password, "environment_variables": {"K": "hidden!"}}
    answer = client_of(ann).post(ENVIRONMENTS, body, headers={"Idempotency-Key": "one"})
    assert answer.status_code == 201
    assert password not in answer.content.decode()
    stored = ""
    with connection.cursor() as cursor:
        for table in ("environment", "idempotencykey", "environmentevent"):
            cursor.execute(f"SELECT * FROM environments_{table}")
            stored += " ".join(str(value) for row in cursor.fetchall() for value in row)
    for secret in (password, "hidden!", "OPENSSH PRIVATE KEY"):
        assert secret not in stored
    assert Environment.objects.get().password_hash.startswith("$6$")
