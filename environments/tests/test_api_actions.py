"""What an environment can be told to do, in each of its phases (contract 5.4, 5.7, 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from devpocket.tests.wire import check, one_of, text, time
from environments.lifecycle import COMPAT_STATUS, Desired, Phase
from environments.models import Environment
from environments.tests.api import ENVIRONMENTS, ClientOf, check_phase_refusal
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db

ACTED = {"message": text, "status": one_of(*set(COMPAT_STATUS.values())), "phase": one_of(*Phase)}
LIVE = [phase for phase in Phase if phase != Phase.TERMINATED]

# Contract 6.3, and hibernation, which is ours: action: ({phase: the next}, phases in which it is a no-op)
AT_REST = (Phase.RUNNING, Phase.STOPPED)
TABLE: dict[str, tuple[dict[Phase, Phase], set[Phase]]] = {
    "start": ({Phase.STOPPED: Phase.STARTING}, {Phase.RUNNING, Phase.STARTING}),
    "stop": ({Phase.RUNNING: Phase.STOPPING}, {Phase.STOPPED, Phase.STOPPING}),
    "restart": (dict.fromkeys((*AT_REST, Phase.ERROR), Phase.RESTARTING), {Phase.RESTARTING}),
    "recover": ({Phase.ERROR: Phase.CREATING}, set()),
    "hibernate": (dict.fromkeys(AT_REST, Phase.STOPPING), set()),
}


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user, droplet_id=1, size="s-1vcpu-512mb-10gb", memory_mb=512, disk_gb=10)


def kinds(environment: Environment) -> list[str]:
    return list(environment.events.values_list("kind", flat=True))


@pytest.mark.parametrize("phase", LIVE)
@pytest.mark.parametrize("action", TABLE)
def test_actions_follow_the_table(
    action: str, phase: Phase, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    Environment.objects.update(phase=phase)
    allowed, no_op = TABLE[action]
    answer = client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/{action}")
    home.refresh_from_db()
    if phase not in allowed and phase not in no_op:
        check_phase_refusal(answer)
        assert (home.phase, kinds(home)) == (phase, [])
        return
    following = allowed.get(phase, phase)
    check(wire.decode(answer), ACTED)
    body = answer.json()
    assert (answer.status_code, body["phase"], body["status"]) == (200, following, COMPAT_STATUS[following])
    assert home.phase == following
    assert kinds(home) == ([f"{action}_requested"] if phase in allowed else [])


@pytest.mark.parametrize("action", ["start", "stop", "restart", "hibernate"])
def test_a_repeated_action_is_harmless(action: str, home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(phase=Phase.STOPPED if action == "start" else Phase.RUNNING)
    answers = [client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/{action}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[2].json()
    assert kinds(home) == [f"{action}_requested"]


def test_a_repeated_recover_is_refused_and_changes_nothing(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(phase=Phase.ERROR)
    first, second = (client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/recover") for _ in range(2))
    assert (first.json()["status"], first.json()["phase"]) == ("creating", "creating")
    check_phase_refusal(second)
    assert kinds(home) == ["recover_requested"]


def test_stopped_for_good_says_why(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/stop")
    home.refresh_from_db()
    assert (home.desired_state, home.last_stop_reason) == (Desired.STOPPED, "user")


@pytest.mark.parametrize(
    ("body", "content_type", "snapshot_status"),
    [
        ("", "", 201),
        ("", "application/x-www-form-urlencoded", 201),
        ("{}", "application/json", 201),
        ("x=1", "application/x-www-form-urlencoded", 415),  # a snapshot may have a name, so it reads the body
        ("{", "application/json", 400),
    ],
)
def test_actions_need_no_body_and_no_content_type(
    body: str, content_type: str, snapshot_status: int, home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    client, path = client_of(ann), f"{ENVIRONMENTS}/{home.pk}"
    assert client.generic("POST", f"{path}/stop", body, content_type=content_type).status_code == 200
    Environment.objects.update(phase=Phase.RUNNING)
    assert client.generic("POST", f"{path}/snapshot", body, content_type=content_type).status_code == snapshot_status


@pytest.mark.parametrize(
    "asks", [{"headers": {"X-DevPocket-Status": "Full"}}, {"query_params": {"status_format": "full"}}]
)
def test_an_action_answers_with_the_full_status_too(
    asks: dict[str, Any], home: Environment, ann: SignIn, client_of: ClientOf
) -> None:
    client = client_of(ann)
    answer = client.post(f"{ENVIRONMENTS}/{home.pk}/stop", **asks)
    assert (answer.json()["status"], answer.json()["phase"]) == ("stopping", "stopping")
    assert "X-DevPocket-Status" in answer["Vary"]
    assert client.post(f"{ENVIRONMENTS}/{home.pk}/stop").json()["status"] == "stopped"


def test_a_refusal_tells_the_full_status_too(home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(phase=Phase.RESIZING)
    for query, status in (("", "creating"), ("?status_format=full", "resizing")):
        answer = client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/start{query}")
        check_phase_refusal(answer)
        assert (answer.json()["context"]["status"], answer.json()["context"]["phase"]) == (status, "resizing")


@pytest.mark.django_db(transaction=True)
def test_two_stops_at_once_are_one_job(ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    codes = in_parallel(lambda number: client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/stop").status_code, count=4)
    assert codes == [200] * 4
    assert kinds(home) == ["stop_requested"]


@pytest.mark.django_db(transaction=True)
def test_stop_and_restart_at_once_are_one_job(ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    actions = ["stop", "restart", "stop", "restart"]
    codes = in_parallel(
        lambda number: client_of(ann).post(f"{ENVIRONMENTS}/{home.pk}/{actions[number]}").status_code, count=4
    )
    assert sorted(codes) == [200, 200, 409, 409]
    assert len(kinds(home)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_deletes_at_once_are_one_job(ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    codes = in_parallel(lambda number: client_of(ann).delete(f"{ENVIRONMENTS}/{home.pk}").status_code, count=4)
    assert sorted(codes) == [204, 404, 404, 404]
    assert kinds(home) == ["delete_requested"]


@pytest.mark.parametrize("phase", LIVE)
def test_delete_is_taken_in_every_phase(phase: Phase, home: Environment, ann: SignIn, client_of: ClientOf) -> None:
    Environment.objects.update(phase=phase)
    answer = client_of(ann).delete(f"{ENVIRONMENTS}/{home.pk}")
    assert (answer.status_code, answer.content) == (204, b"")
    home.refresh_from_db()
    assert (home.phase, home.desired_state) == (Phase.TERMINATED, Desired.DELETED)


# --- Another size


def resize(client: APIClient, home: Environment, **body: Any) -> Any:
    return client.post(f"{ENVIRONMENTS}/{home.pk}/resize", **wire.body(body))


@pytest.fixture
def pat(sign_up: Callable[..., SignIn]) -> SignIn:
    return sign_up("pat", plan="pro", is_verified=True)


@pytest.fixture
def small(pat: SignIn, cloud: Any) -> Environment:
    return home_of(pat.user, droplet_id=1)  # s-1vcpu-1gb, 25 GB


@pytest.mark.parametrize(
    ("asked", "is_disk_resized"),
    [({}, False), ({"permanent_disk_resize": None}, False), ({"permanentDiskResize": True}, True)],
)
@pytest.mark.parametrize("phase", LIVE)
def test_a_resize_begins_at_rest(
    phase: Phase, asked: dict[str, Any], is_disk_resized: bool, small: Environment, pat: SignIn, client_of: ClientOf
) -> None:
    Environment.objects.update(phase=phase)
    answer = resize(client_of(pat), small, size="s-2vcpu-2gb", **asked)
    small.refresh_from_db()
    if phase not in AT_REST:
        check_phase_refusal(answer)
        assert (small.phase, small.resize_to) == (phase, None)
        return
    check(wire.decode(answer), {**ACTED, "new_size": text, "estimated_time": text})
    assert {**answer.json(), "message": ""} == {
        "message": "",
        "new_size": "s-2vcpu-2gb",
        "status": "creating",
        "phase": "resizing",
        "estimated_time": "2-5 minutes",
    }
    assert (small.phase, small.return_phase, small.size) == (Phase.RESIZING, phase, "s-1vcpu-1gb")
    assert small.resize_to == {
        "size": "s-2vcpu-2gb",
        "memory_mb": 2048,
        "vcpus": 2,
        "disk_gb": 60 if is_disk_resized else 25,
        "price_usd_per_hour": 0.02679,
        "disk": is_disk_resized,
    }
    check_phase_refusal(resize(client_of(pat), small, size="s-4vcpu-8gb"))  # one at a time


def test_a_hibernated_machine_comes_back_with_the_whole_disk(
    small: Environment, pat: SignIn, client_of: ClientOf
) -> None:
    Environment.objects.update(phase=Phase.STOPPED, desired_state=Desired.HIBERNATED, droplet_id=None)
    assert resize(client_of(pat), small, size="s-2vcpu-2gb").status_code == 200
    assert Environment.objects.get().resize_to["disk_gb"] == 60


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "size", "required"),
        ({"size": None}, "size", "null"),
        ({"size": ""}, "size", "blank"),
        ({"size": 5}, "size", "invalid"),
        ({"size": ["x"]}, "size", "invalid"),
        ({"size": "x" * 51}, "size", "max_length"),
        ({"size": "s-enormous"}, "size", "unknown_choice"),
        ({"size": "$(reboot)"}, "size", "unknown_choice"),
        ({"size": "s-1vcpu-1gb"}, "size", "invalid"),  # the same
        ({"size": "s-1vcpu-512mb-10gb"}, "size", "invalid"),  # a smaller disk
        ({"size": "s-2vcpu-2gb", "permanent_disk_resize": "yes"}, "permanent_disk_resize", "invalid"),
        ({"size": "s-2vcpu-2gb", "permanent_disk_resize": 1}, "permanent_disk_resize", "invalid"),
    ],
)
def test_a_size_that_it_cannot_have_is_refused(
    body: dict[str, Any], field: str, code: str, small: Environment, pat: SignIn, client_of: ClientOf
) -> None:
    assert wire.field_codes(resize(client_of(pat), small, **body)) == {field: code}
    assert Environment.objects.get().phase == Phase.RUNNING


def test_a_size_beyond_the_plan_or_not_in_the_region_is_refused(
    sign_up: Callable[..., SignIn], client_of: ClientOf, cloud: Any
) -> None:
    sam = sign_up("sam", plan="starter", is_verified=True)
    home = home_of(sam.user, size="s-tiny", disk_gb=5, region="tor1")
    wire.check_refusal(resize(client_of(sam), home, size="s-2vcpu-2gb"), 403, "size_not_allowed")
    assert wire.field_codes(resize(client_of(sam), home, size="s-1vcpu-512mb-10gb")) == {"size": "unknown_choice"}
    assert resize(client_of(sam), home, size="s-1vcpu-1gb").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_resizes_at_once_are_one_job(small: Environment, pat: SignIn, client_of: ClientOf) -> None:
    sizes = ["s-2vcpu-2gb", "s-4vcpu-8gb"]
    codes = in_parallel(lambda number: resize(client_of(pat), small, size=sizes[number]).status_code, count=2)
    assert sorted(codes) == [200, 409]
    assert kinds(small) == ["resize_requested"]


# --- Keeping it awake


def test_an_idle_stop_is_put_off(home: Environment, ann: SignIn, client_of: ClientOf, settings: Any) -> None:
    settings.PLANS = {**settings.PLANS, "free": {**settings.PLANS["free"], "idle_stop_minutes": 30}}
    client = client_of(ann)
    before = client.get(f"{ENVIRONMENTS}/{home.pk}").json()["idle_stop_at"]
    answer = client.post(f"{ENVIRONMENTS}/{home.pk}/extend/")
    check(wire.decode(answer), {**ACTED, "idle_stop_at": time})
    assert answer.json()["idle_stop_at"] > before
    assert answer.json()["idle_stop_at"] == client.get(f"{ENVIRONMENTS}/{home.pk}").json()["idle_stop_at"]


@pytest.mark.parametrize("phase", LIVE)
def test_only_what_runs_and_would_be_stopped_is_kept_awake(
    phase: Phase, home: Environment, ann: SignIn, client_of: ClientOf, settings: Any
) -> None:
    path = f"{ENVIRONMENTS}/{home.pk}/extend"
    check_phase_refusal(client_of(ann).post(path))  # the plan stops nothing
    settings.PLANS = {**settings.PLANS, "free": {**settings.PLANS["free"], "idle_stop_minutes": 30}}
    Environment.objects.update(phase=phase)
    answer = client_of(ann).post(path)
    if phase == Phase.RUNNING:
        assert answer.status_code == 200
    else:
        check_phase_refusal(answer)
