"""Environments over HTTP: shapes, owners, limits, and what bad input gets (contract section 5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.services import SignIn
from environments.lifecycle import Phase
from environments.models import Environment

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates", "cloud")]

ENVIRONMENTS = "/api/v1/environments"
Client = Callable[[SignIn], APIClient]
TEXT, TEXT_OR_NULL, NUMBER_OR_NULL = (str,), (str, type(None)), (int, float, type(None))

SHAPE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        "id name slug template_id template template_name status phase ssh_user docker_image image region size "
        "created_at updated_at".split(),
        TEXT,
    ),
    **dict.fromkeys(
        "description status_message external_url url droplet_ip volume_id last_accessed last_activity "
        "last_activity_at".split(),
        TEXT_OR_NULL,
    ),
    **dict.fromkeys("progress web_port port ssh_port storage_size_gb".split(), (int,)),
    **dict.fromkeys("cpu_usage memory_usage storage_usage droplet_id".split(), NUMBER_OR_NULL),
    **dict.fromkeys("resource_limits resources environment_variables".split(), (dict,)),
    "installation_completed": (bool,),
    "error": (dict, type(None)),
}


def check_shape(body: dict[str, Any]) -> None:
    """Exactly the keys of contract 5.1, each of its JSON type; a bool is no number."""
    assert set(body) == set(SHAPE)
    wrong = {key: value for key, value in body.items() if type(value) not in SHAPE[key]}
    assert wrong == {}
    assert body["status"] in ("creating", "running", "stopped", "error", "terminated")
    assert all(isinstance(value, str) for value in body["environment_variables"].values())
    for key in ("created_at", "updated_at"):
        assert body[key].endswith("Z")
        datetime.fromisoformat(body[key])


def post(client: APIClient, **body: Any) -> Any:
    # Encoded here: half a surrogate pair can be written in JSON, though not in UTF-8.
    return client.post(ENVIRONMENTS, json.dumps(body), content_type="application/json")


def test_create_answers_with_the_whole_object(ann: SignIn, client_of: Client) -> None:
    answer = client_of(ann).post(
        f"{ENVIRONMENTS}/",
        {"name": "  My Project ", "template_id": "python", "resource_limits": None, "environment_variables": None},
        format="json",
    )
    assert answer.status_code == 201, answer.content
    body = answer.json()
    check_shape(body)
    assert (body["name"], body["status"], body["phase"], body["progress"]) == ("My Project", "creating", "creating", 0)
    assert body["slug"] == f"my-project-{body['id'][:6]}"
    assert body["resources"] == {"cpu": "1000m", "memory": "512Mi", "storage": "20Gi"}
    assert body["resource_limits"] == {**body["resources"], "max_instances": None}
    assert answer["Location"] == f"{ENVIRONMENTS}/{body['id']}"


def test_list_get_and_create_give_one_shape(ann: SignIn, client_of: Client) -> None:
    client = client_of(ann)
    created = post(client, name="One", template_id="ubuntu").json()
    [listed] = client.get(f"{ENVIRONMENTS}/").json()
    got = client.get(f"{ENVIRONMENTS}/{created['id']}").json()
    check_shape(got)
    assert created == listed == got


@pytest.mark.parametrize("given", ["Node", "NODEJS", "nodejs-18"])
def test_a_template_is_found_by_its_other_names(given: str, ann: SignIn, client_of: Client) -> None:
    assert post(client_of(ann), name="Web", template=given).json()["template_id"] == "nodejs"


def test_camel_case_is_taken_and_snake_case_wins(ann: SignIn, client_of: Client) -> None:
    body = {"name": "A", "templateId": "python", "template_id": "ubuntu", "environmentVariables": {"camelCase": "1"}}
    answer = client_of(ann).post(ENVIRONMENTS, body, format="json").json()
    assert (answer["template_id"], answer["environment_variables"]) == ("ubuntu", {"camelCase": "1"})


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"name": None}, "name", "null"),
        ({"name": ""}, "name", "blank"),
        ({"name": "   "}, "name", "blank"),
        ({"name": "x" * 51}, "name", "max_length"),
        ({"name": "a\x07b"}, "name", "invalid"),
        ({"name": "a\0b"}, "name", "invalid"),
        ({"name": "<b>"}, "name", "invalid"),
        ({"name": ["x"]}, "name", "invalid"),
        ({"name": "\ud800"}, "name", "invalid"),
        ({"template_id": "no-such"}, "template_id", "unknown_choice"),
        ({"template_id": None}, "template_id", "required"),
        ({"template_id": {"a": 1}}, "template_id", "invalid"),
        ({"template_id": "python", "template": "ubuntu"}, "template_id", "invalid"),
        ({"description": "x" * 501}, "description", "max_length"),
        ({"region": "atlantis"}, "region", "unknown_choice"),
        ({"size": "s-enormous"}, "size", "unknown_choice"),
        ({"storage_size_gb": 0}, "storage_size_gb", "min_value"),
        ({"storage_size_gb": 11}, "storage_size_gb", "max_value"),
        ({"storage_size_gb": "10"}, "storage_size_gb", "invalid"),
        ({"storage_size_gb": True}, "storage_size_gb", "invalid"),
        ({"storage_size_gb": 2.5}, "storage_size_gb", "invalid"),
        ({"user_password": "short"}, "user_password", "min_length"),
        ({"user_password": "x" * 129}, "user_password", "max_length"),
        ({"resources": {"cpu": "many"}}, "resources.cpu", "invalid"),
        ({"resource_limits": {"memory": "1 GB"}}, "resource_limits.memory", "invalid"),
        ({"resources": "big"}, "resources", "invalid"),
        ({"environment_variables": []}, "environment_variables", "invalid"),
        ({"environment_variables": {"1A": "x"}}, "environment_variables", "invalid"),
        ({"environment_variables": {"A": 1}}, "environment_variables", "invalid"),
        ({"environment_variables": {"A": "x" * 4097}}, "environment_variables", "invalid"),
        ({"environment_variables": {"A": "\0"}}, "environment_variables", "invalid"),
        ({"environment_variables": {"A": "\ud800"}}, "environment_variables", "invalid"),
        ({"environment_variables": {"DEVPOCKET_X": "1"}}, "environment_variables", "invalid"),
        ({"environment_variables": {f"V{n}": "" for n in range(101)}}, "environment_variables", "invalid"),
    ],
)
def test_bad_input_names_its_field_and_creates_nothing(
    fields: dict[str, Any], field: str, code: str, ann: SignIn, client_of: Client
) -> None:
    answer = post(client_of(ann), **{"name": "Good", "template_id": "ubuntu", **fields})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "invalid_input")
    assert (body["errors"][0]["field"], body["errors"][0]["code"]) == (field, code)
    assert body["detail"] == body["errors"][0]["message"]
    assert Environment.objects.count() == 0


@pytest.mark.parametrize(
    "fields", [{"size": "s-2vcpu-2gb"}, {"resources": {"memory": "2Gi"}}, {"resources": {"cpu": "2"}}]
)
def test_a_size_beyond_the_plan_is_refused(fields: dict[str, Any], ann: SignIn, client_of: Client) -> None:
    answer = post(client_of(ann), name="Big", template_id="ubuntu", **fields)
    assert (answer.status_code, answer.json()["code"]) == (403, "size_not_allowed")


def test_resources_choose_the_smallest_size_that_fits(sign_up: Callable[..., SignIn], client_of: Client) -> None:
    client = client_of(sign_up("pat", plan="pro", is_verified=True))
    sizes = [
        post(client, name=f"E{number}", template_id="ubuntu", resources=resources).json()["size"]
        for number, resources in enumerate(({"memory": "600M"}, {"cpu": "1500m"}, {"memory": "2Gi", "cpu": "1"}))
    ]
    assert sizes == ["s-1vcpu-1gb", "s-2vcpu-2gb", "s-1vcpu-2gb"]


def test_an_unverified_user_may_not_create(sign_up: Callable[..., SignIn], client_of: Client) -> None:
    answer = post(client_of(sign_up("new")), name="")  # before its input is looked at
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


def test_the_limit_is_told_and_a_deleted_environment_makes_room(ann: SignIn, client_of: Client) -> None:
    client = client_of(ann)
    first = post(client, name="One", template_id="ubuntu").json()
    refused = post(client, name="Two", template_id="ubuntu")
    assert (refused.status_code, refused.json()["code"]) == (403, "environment_limit_reached")
    assert refused.json()["context"] == {"plan": "free", "limit": 1, "current": 1}
    assert client.delete(f"{ENVIRONMENTS}/{first['id']}").status_code == 204
    assert post(client, name="One", template_id="ubuntu").status_code == 201


def test_a_name_is_taken_in_any_case(sign_up: Callable[..., SignIn], client_of: Client) -> None:
    client = client_of(sign_up("sam", plan="starter", is_verified=True))
    assert post(client, name="Blog", template_id="ubuntu").status_code == 201
    answer = post(client, name="bLOG", template_id="ubuntu")
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


@pytest.mark.django_db(transaction=True)
def test_two_creates_at_once_on_free_give_one(ann: SignIn, client_of: Client) -> None:
    def create(name: str) -> int:
        try:
            return int(post(client_of(ann), name=name, template_id="ubuntu").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(create, ["A", "B", "C", "D"])) == [201, 403, 403, 403]
    assert Environment.objects.count() == 1


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("delete", ""), ("post", "/start"), ("post", "/stop")])
def test_somebody_elses_environment_is_not_there(
    method: str, path: str, ann: SignIn, ben: SignIn, client_of: Client
) -> None:
    mine = post(client_of(ann), name="Mine", template_id="ubuntu").json()["id"]
    for unknown in (mine, str(uuid.uuid4()), "1", "none", "%00"):
        answer = getattr(client_of(ben), method)(f"{ENVIRONMENTS}/{unknown}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client_of(ben).get(ENVIRONMENTS).json() == []
    assert Environment.objects.get(pk=mine).phase == Phase.CREATING


@pytest.mark.parametrize(
    ("method", "path"), [("get", ""), ("post", ""), ("get", "/x"), ("delete", "/x"), ("post", "/x/start")]
)
def test_without_sign_in_nothing_is_shown(method: str, path: str) -> None:
    answer = getattr(APIClient(), method)(ENVIRONMENTS + path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("phase", "action", "status", "following"),
    [
        (Phase.RUNNING, "stop", 200, "stopping"),
        (Phase.STOPPING, "stop", 200, "stopping"),
        (Phase.STOPPED, "stop", 200, "stopped"),
        (Phase.STOPPED, "start", 200, "starting"),
        (Phase.RUNNING, "start", 200, "running"),
        (Phase.STARTING, "start", 200, "starting"),
        (Phase.STOPPING, "start", 409, "stopping"),
        (Phase.INSTALLING, "stop", 409, "installing"),
        (Phase.ERROR, "start", 409, "error"),
    ],
)
def test_actions_follow_the_table(
    phase: Phase, action: str, status: int, following: str, ann: SignIn, client_of: Client
) -> None:
    client = client_of(ann)
    environment_id = post(client, name="Env", template_id="ubuntu").json()["id"]
    Environment.objects.update(phase=phase)
    answer = client.post(f"{ENVIRONMENTS}/{environment_id}/{action}")
    assert answer.status_code == status, answer.content
    assert Environment.objects.get().phase == following
    if status == 200:
        assert answer.json()["phase"] == following
    else:
        assert (answer.json()["code"], answer.json()["errors"][0]["field"]) == ("invalid_state", "status")


def test_after_deletion_every_route_is_404(ann: SignIn, client_of: Client) -> None:
    client = client_of(ann)
    path = f"{ENVIRONMENTS}/{post(client, name='Env', template_id='ubuntu').json()['id']}"
    assert client.delete(path).status_code == 204
    answers = [client.get(path), client.delete(path), client.post(f"{path}/start"), client.post(f"{path}/stop")]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert client.get(ENVIRONMENTS).json() == []
    assert [row["status"] for row in client.get(f"{ENVIRONMENTS}?status=terminated").json()] == ["terminated"]


def test_list_filters_and_pages(
    sign_up: Callable[..., SignIn], client_of: Client, django_assert_max_num_queries: Any
) -> None:
    client = client_of(sign_up("max", plan="admin", is_verified=True))
    for number in range(5):
        post(client, name=f"E{number}", template_id="python" if number % 2 else "ubuntu")
    Environment.objects.filter(name="E0").update(phase=Phase.STOPPING)
    assert [row["name"] for row in client.get(f"{ENVIRONMENTS}?status=stopped").json()] == ["E0"]
    assert [row["name"] for row in client.get(f"{ENVIRONMENTS}?template_id=Python").json()] == ["E3", "E1"]
    assert len(client.get(f"{ENVIRONMENTS}?status=creating,stopping").json()) == 5
    with django_assert_max_num_queries(3):
        page = client.get(f"{ENVIRONMENTS}?limit=2&offset=2")
    assert [row["name"] for row in page.json()] == ["E2", "E1"]
    assert page["X-Total-Count"] == "5"
    assert all(f'rel="{rel}"' in page["Link"] for rel in ("first", "prev", "next", "last"))
    wrapped = client.get(f"{ENVIRONMENTS}?envelope=true&limit=2").json()
    assert {**wrapped, "environments": len(wrapped["environments"])} == {
        "environments": 2,
        "total": 5,
        "limit": 2,
        "offset": 0,
        "has_more": True,
    }


@pytest.mark.parametrize("query", ["status=nonsense", "limit=0", "limit=201", "limit=x", "offset=-1", "limit="])
def test_a_filter_that_means_nothing_is_told(query: str, ann: SignIn, client_of: Client) -> None:
    answer = client_of(ann).get(f"{ENVIRONMENTS}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_the_full_status_is_given_to_those_who_ask(ann: SignIn, client_of: Client) -> None:
    client = client_of(ann)
    post(client, name="Env", template_id="ubuntu")
    Environment.objects.update(phase=Phase.INSTALLING)
    assert [row["status"] for row in client.get(ENVIRONMENTS).json()] == ["creating"]
    asked = client.get(ENVIRONMENTS, headers={"X-DevPocket-Status": "full"})
    assert [row["status"] for row in asked.json()] == ["installing"]
    assert "X-DevPocket-Status" in asked["Vary"]


def test_secrets_are_encrypted_at_rest_and_the_password_is_stored_nowhere(ann: SignIn, client_of: Client) -> None:
    password = "Linux-Password-1"
    answer = post(
        client_of(ann),
        name="E",
        template_id="ubuntu",
        user_password=password,
        environment_variables={"K": "hidden-value"},
    )
    assert password not in answer.content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM environments_environment")
        stored = " ".join(str(value) for value in cursor.fetchone())
    assert password not in stored
    assert "hidden-value" not in stored
    assert "OPENSSH PRIVATE KEY" not in stored
    assert Environment.objects.get().password_hash.startswith("$6$")


def test_regions_sizes_and_info(ann: SignIn, client_of: Client) -> None:
    client = client_of(ann)
    regions = client.get("/api/v1/regions").json()
    assert {type(region["available"]) for region in regions} == {bool}
    sizes = {size["slug"]: size for size in client.get("/api/v1/sizes").json()}
    assert sizes["s-1vcpu-512mb-10gb"]["tier"] == "free"
    assert [sizes[slug]["allowed"] for slug in ("s-1vcpu-512mb-10gb", "s-1vcpu-1gb", "s-2vcpu-2gb")] == [
        True,
        False,
        False,
    ]
    info = APIClient().get("/api/v1/info").json()
    assert info["limits"] == {"free_environments": 1, "starter_environments": 3, "pro_environments": 10}
    assert len(info["phase_values"]) == 12
