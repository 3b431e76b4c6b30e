"""`Idempotency-Key`: a create that is repeated makes nothing twice and is answered alike (contract 5.2)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.idempotency import idempotency_keys_prune
from environments.models import Environment, IdempotencyKey
from environments.tests.api import ENVIRONMENTS, ClientOf, decode_environment
from templates_catalog.models import Template

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates", "cloud")]

BODY: dict[str, Any] = {"name": "One", "template_id": "ubuntu", "environment_variables": {"A": "1"}}


def create(client: APIClient, key: str | None = "key-1", *, full: bool = False, **body: Any) -> Any:
    headers = {"X-DevPocket-Status": "full"} if full else {}
    headers |= {} if key is None else {"Idempotency-Key": key}
    return client.post(ENVIRONMENTS, **wire.body({**BODY, **body}), headers=headers)


@pytest.fixture
def client(ann: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(ann)


def test_a_repeated_create_is_answered_alike(client: APIClient) -> None:
    first = create(client)
    Environment.objects.update(phase="running", progress=100, name="Renamed")  # it has gone on meanwhile
    second = create(client)
    assert (first.status_code, second.status_code) == (201, 201)  # on free, where one is the limit
    assert decode_environment(second) == decode_environment(first)
    assert second["Location"] == first["Location"] == f"{ENVIRONMENTS}/{first.json()['id']}"
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Environment.objects.count() == 1
    assert Template.objects.get(pk="ubuntu").usage_count == 1


@pytest.mark.parametrize("full", [True, False])
def test_each_repetition_is_told_the_status_it_asks_for(full: bool, client: APIClient) -> None:
    first = create(client, full=full)
    IdempotencyKey.objects.update(answer={**first.json(), "phase": "installing"})  # answered a while after its start
    for asks in (True, False, True):
        again = create(client, full=asks)
        assert again["Idempotency-Replayed"] == "true"
        assert again.json()["status"] == ("installing" if asks else "creating")
        assert "X-DevPocket-Status" in again["Vary"]


def test_spelling_and_order_make_no_other_request(client: APIClient) -> None:
    first = create(client)
    body = {"environmentVariables": {"A": "1"}, "templateId": "ubuntu", "name": "One"}
    second = client.post(
        f"{ENVIRONMENTS}/",
        json.dumps(body, indent=4),
        content_type="application/json",
        headers={"Idempotency-Key": "key-1"},
    )
    assert second.json() == first.json()


@pytest.mark.parametrize(
    "change", [{"name": "Two"}, {"user_password": "Linux-Password-1"}, {"environment_variables": {}}]
)
def test_another_body_with_the_same_key_is_a_mistake(change: dict[str, Any], client: APIClient) -> None:
    assert create(client).status_code == 201
    assert wire.field_codes(create(client, **change)) == {"Idempotency-Key": "invalid"}
    assert Environment.objects.count() == 1


def test_it_is_answered_alike_whatever_has_changed(client: APIClient) -> None:
    first = create(client)
    Template.objects.update(status="deprecated")
    assert create(client).json() == first.json()
    assert client.delete(first["Location"]).status_code == 204
    assert create(client).json() == first.json()
    assert client.get(first["Location"]).status_code == 404


def test_a_create_whose_answer_was_lost_before_it_was_kept_is_answered_with_what_is(client: APIClient) -> None:
    first = create(client)
    IdempotencyKey.objects.update(answer={})  # killed between creating and answering
    second, third = create(client), create(client)
    assert second.json()["id"] == first.json()["id"]
    assert second.json() == third.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Environment.objects.count() == 1


def test_a_refused_create_uses_up_no_key(client: APIClient) -> None:
    assert create(client, name="").status_code == 422
    assert create(client, size="s-2vcpu-2gb").status_code == 403
    assert not IdempotencyKey.objects.exists()
    assert create(client).status_code == 201


def test_keys_are_each_users_own_and_end_after_a_day(client: APIClient, ben: SignIn, client_of: ClientOf) -> None:
    first = create(client)
    bens = create(client_of(ben))
    assert bens.status_code == 201
    assert bens.json()["id"] != first.json()["id"]
    for row in IdempotencyKey.objects.all():
        IdempotencyKey.objects.filter(pk=row.pk).update(created_at=row.created_at - timedelta(hours=24, seconds=1))
    wire.check_refusal(create(client), 403, "environment_limit_reached")
    Environment.objects.update(phase="terminated")
    again = create(client)
    assert "Idempotency-Replayed" not in again
    assert create(client).json() == again.json() != first.json()
    idempotency_keys_prune()
    assert [str(row.environment_id) for row in IdempotencyKey.objects.all()] == [again.json()["id"]]


def test_without_a_key_nothing_is_repeated(client: APIClient) -> None:
    assert create(client, key=None).status_code == 201
    wire.check_refusal(create(client, key=None), 403, "environment_limit_reached")
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["x" * 255, "a key with ~ and ' and \"", "0"])
def test_every_printable_key_is_taken(key: str, client: APIClient) -> None:
    assert create(client, key).json() == create(client, key).json()


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb", "a\0b", "a\x7fb"])
def test_an_odd_key_is_refused(key: str, client: APIClient) -> None:
    assert wire.field_codes(create(client, key)) == {"Idempotency-Key": "invalid"}
    assert Environment.objects.count() == 0


def test_what_is_kept_is_encrypted_and_no_body(client: APIClient) -> None:
    create(client, user_password="Linux-Password-1", environment_variables={"A": "hidden!"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM environments_idempotencykey")
        stored = " ".join(map(str, cursor.fetchone()))
    assert "hidden!" not in stored
    assert "Linux-Password-1" not in stored
    assert IdempotencyKey.objects.get().answer["environment_variables"] == {"A": "hidden!"}


@pytest.mark.django_db(transaction=True)
def test_at_once_they_are_one(ann: SignIn, client_of: ClientOf) -> None:
    answers = in_parallel(lambda number: create(client_of(ann)), count=4)
    assert [answer.status_code for answer in answers] == [201] * 4  # on free
    assert Environment.objects.count() == IdempotencyKey.objects.count() == 1
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    assert sum("Idempotency-Replayed" not in answer for answer in answers) == 1
