"""PUT and PATCH of environments: name, description, variables, volume, resources (contract 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.lifecycle import Desired, Phase
from environments.models import Environment
from environments.tests.api import ENVIRONMENTS, ClientOf, decode_environment
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db

LIVE = [phase for phase in Phase if phase != Phase.TERMINATED]
BEFORE = {"A": "1", "B": "2"}


@pytest.fixture
def sam(sign_up: Callable[..., SignIn]) -> SignIn:
    return sign_up("sam", plan="starter", is_verified=True)


@pytest.fixture
def home(sam: SignIn) -> Environment:
    return home_of(sam.user, name="Home", environment_variables=BEFORE)


@pytest.fixture
def client(sam: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(sam)


def change(client: APIClient, home: Environment, method: str, **body: Any) -> Any:
    return getattr(client, method)(f"{ENVIRONMENTS}/{home.pk}", **wire.body(body))


both = pytest.mark.parametrize("method", ["put", "patch"])


@both
@pytest.mark.parametrize("phase", LIVE)
def test_every_phase_takes_changes(method: str, phase: Phase, home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=phase, error_at=timezone.now())
    answer = change(client, home, method, name=" New name ", description="Mine", environment_variables={"C": "3"})
    body = decode_environment(answer)
    assert (body["name"], body["description"], body["phase"]) == ("New name", "Mine", phase)
    assert body["environment_variables"] == ({"C": "3"} if method == "put" else {**BEFORE, "C": "3"})
    assert answer["X-Applies"] == "next-shell"
    assert body == decode_environment(client.get(f"{ENVIRONMENTS}/{home.pk}"))
    assert list(home.events.values_list("kind", "message")) == [
        ("changed", "description, environment_variables, name"),
    ]


@both
def test_what_is_not_given_stays(method: str, home: Environment, client: APIClient) -> None:
    before = decode_environment(client.get(f"{ENVIRONMENTS}/{home.pk}"))
    nothing = [{}, {"name": None, "environment_variables": None, "storage_size_gb": None, "resources": None}]
    for body in nothing:
        assert decode_environment(change(client, home, method, **body)) == before
    assert decode_environment(change(client, home, method, description="x"))["environment_variables"] == BEFORE
    assert decode_environment(change(client, home, method, description=None))["description"] is None
    assert decode_environment(change(client, home, method, description=""))["description"] is None


@both
def test_a_whole_object_sent_back_changes_nothing(method: str, home: Environment, client: APIClient) -> None:
    before = decode_environment(client.get(f"{ENVIRONMENTS}/{home.pk}"))
    assert decode_environment(change(client, home, method, **before)) == before
    assert not home.events.exists()


@both
def test_what_cannot_be_changed_so_is_ignored(method: str, home: Environment, client: APIClient) -> None:
    ignored = {
        "template_id": "python",
        "region": "fra1",
        "size": "s-2vcpu-2gb",
        "status": "error",
        "phase": 5,
        "id": "x",
    }
    body = decode_environment(change(client, home, method, **ignored))
    assert (body["template_id"], body["region"], body["size"]) == ("ubuntu", "nyc3", "s-1vcpu-1gb")


def test_patch_merges_and_null_takes_away(home: Environment, client: APIClient) -> None:
    body = decode_environment(change(client, home, "patch", environmentVariables={"A": None, "C": "3", "NONE": None}))
    assert body["environment_variables"] == {"B": "2", "C": "3"}
    home.refresh_from_db()
    assert home.variables_changed_at is not None


def test_put_with_an_empty_map_takes_all_away(home: Environment, client: APIClient) -> None:
    assert decode_environment(change(client, home, "put", environment_variables={}))["environment_variables"] == {}
    assert decode_environment(change(client, home, "patch", environment_variables={}))["environment_variables"] == {}


@pytest.mark.parametrize(
    ("method", "body", "field", "code"),
    [
        *(
            (method, body, field, code)
            for method in ("put", "patch")
            for body, field, code in [
                ({"name": ""}, "name", "blank"),
                ({"name": "x" * 51}, "name", "max_length"),
                ({"name": "<b>"}, "name", "invalid"),
                ({"name": ["x"]}, "name", "invalid"),
                ({"name": 123}, "name", "invalid"),
                ({"name": "a\u202eb"}, "name", "invalid"),
                ({"description": 5}, "description", "invalid"),
                ({"description": "x" * 501}, "description", "max_length"),
                ({"description": {"a": 1}}, "description", "invalid"),
                ({"environment_variables": [["A", "1"]]}, "environment_variables", "invalid"),
                ({"environment_variables": {"1A": "x"}}, "environment_variables", "invalid"),
                ({"environment_variables": {"A": 5}}, "environment_variables", "invalid"),
                ({"environment_variables": {"A": "\ud800"}}, "environment_variables", "invalid"),
                ({"environment_variables": {"DEVPOCKET_ID": "x"}}, "environment_variables", "invalid"),
                ({"resources": {"memory": "much"}}, "resources.memory", "invalid"),
                ({"resources": {"cpu": 1}}, "resources.cpu", "invalid"),
                ({"storage_size_gb": "20"}, "storage_size_gb", "invalid"),
                ({"storage_size_gb": 0}, "storage_size_gb", "min_value"),
                ({"storage_size_gb": 9}, "storage_size_gb", "min_value"),  # it has 10
                ({"storage_size_gb": 26}, "storage_size_gb", "max_value"),  # the plan's most is 25
            ]
        ),
        ("put", {"environment_variables": {"A": None}}, "environment_variables", "invalid"),
        ("patch", {"environment_variables": {"1A": None}}, "environment_variables", "invalid"),
        ("patch", {"environment_variables": {f"V{n}": "x" for n in range(99)}}, "environment_variables", "invalid"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(
    method: str, body: dict[str, Any], field: str, code: str, home: Environment, client: APIClient
) -> None:
    before = Environment.objects.values().get()
    assert wire.field_codes(change(client, home, method, **{"description": "New", **body})) == {field: code}
    assert Environment.objects.values().get() == before


@both
def test_a_name_is_taken_in_any_case_but_may_stay_its_own(
    method: str, home: Environment, sam: SignIn, client: APIClient
) -> None:
    home_of(sam.user, name="Other")
    home_of(sam.user, name="Gone", phase=Phase.TERMINATED)
    wire.check_refusal(change(client, home, method, name="oTHER", description="x"), 409, "name_taken")
    assert decode_environment(client.get(f"{ENVIRONMENTS}/{home.pk}"))["description"] is None
    assert decode_environment(change(client, home, method, name="HOME"))["name"] == "HOME"
    assert decode_environment(change(client, home, method, name="Gone"))["name"] == "Gone"


@pytest.mark.django_db(transaction=True)
def test_patches_at_once_lose_nothing(sam: SignIn, client_of: ClientOf) -> None:
    home = home_of(sam.user, environment_variables=BEFORE)
    codes = in_parallel(
        lambda number: (
            change(client_of(sam), home, "patch", environment_variables={f"V{number}": str(number)}).status_code
        ),
        count=4,
    )
    assert codes == [200] * 4
    home.refresh_from_db()
    assert home.environment_variables == {**BEFORE, **{f"V{number}": str(number) for number in range(4)}}


@both
def test_the_volume_only_grows(method: str, home: Environment, client: APIClient) -> None:
    body = decode_environment(change(client, home, method, storage_size_gb=25))
    assert (body["storage_size_gb"], body["resources"]["storage"]) == (25, "50Gi")
    home.refresh_from_db()
    assert home.next_step_at is not None
    assert wire.field_codes(change(client, home, method, storage_size_gb=24)) == {"storage_size_gb": "min_value"}


@both
@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("resources", "required"),
    [
        ({"memory": "1Gi", "cpu": "1"}, None),  # as it is
        ({"memory": "512Mi"}, None),  # it has more
        ({"cpu": "500m", "storage": "900Gi"}, None),  # the volume has a field of its own
        ({"cpu": None, "memory": None}, None),
        ({"memory": "2Gi"}, "s-1vcpu-2gb"),
        ({"cpu": "1001m"}, "s-2vcpu-2gb"),
    ],
)
def test_resources_that_need_another_size_ask_for_a_resize(
    method: str, resources: dict[str, Any], required: str | None, home: Environment, client: APIClient
) -> None:
    for field in ("resources", "resource_limits"):
        answer = change(client, home, method, **{field: resources, "description": "New"})
        if required is None:
            assert decode_environment(answer)["description"] == "New"
        else:
            refusal = wire.check_refusal(answer, 409, "resize_required")
            assert refusal["context"] == {"required_size": required}
            assert Environment.objects.get().description is None


@both
@pytest.mark.usefixtures("cloud")
def test_resources_that_no_size_has_are_refused(method: str, home: Environment, client: APIClient) -> None:
    for memory in ("900Ti", "999999999999Ti"):
        refused = change(client, home, method, resources={"memory": memory})
        context = wire.check_refusal(refused, 403, "size_not_allowed")["context"]
        assert context == {"region": "nyc3"}  # no plan has it, so none is named


@both
@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("limits", [{}, {"memory": None}, {"cpu": "1"}])
def test_limits_that_say_nothing_hide_no_resources(
    method: str, limits: dict[str, Any], home: Environment, client: APIClient
) -> None:
    answer = change(client, home, method, resource_limits=limits, resources={"memory": "2Gi"})
    assert wire.check_refusal(answer, 409, "resize_required")["context"] == {"required_size": "s-1vcpu-2gb"}


def test_a_hibernated_one_takes_changes_too(home: Environment, client: APIClient) -> None:
    Environment.objects.update(phase=Phase.STOPPED, desired_state=Desired.HIBERNATED)
    body = decode_environment(change(client, home, "patch", name="Sleeper"))
    assert (body["name"], body["hibernated"]) == ("Sleeper", True)
