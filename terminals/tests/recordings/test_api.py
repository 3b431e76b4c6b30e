"""/terminal-recordings: one's own, listed, looked at, downloaded, deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import AsyncClient
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.tests import wire
from devpocket.tests.wire import nullable, one_of, text, time, uuid4, whole
from environments.models import Environment
from environments.tests.api import ClientOf, number
from environments.tests.homes import home_of
from terminals.models import Recording
from terminals.tests.recordings.casts import read_cast, storage
from terminals.tests.recordings.conftest import Begin, left_in

pytestmark = pytest.mark.django_db

Recorded = Callable[..., Recording]
State = Recording.State
PATH = "/api/v1/terminal-recordings"
RECORDING = {
    "id": uuid4,
    "environment_id": nullable(uuid4),
    "environment_name": text,
    "session": nullable(text),
    "state": one_of("recording", "complete", "limited", "broken"),
    "size_bytes": whole,
    "duration_s": number,
    "cols": whole,
    "rows": whole,
    "started_at": time,
    "ended_at": nullable(time),
    "expires_at": nullable(time),
}
ROUTES = [("get", ""), ("delete", ""), ("get", "/download"), ("options", ""), ("options", "/download")]
LIVE: dict[str, Any] = {"text": None, "state": State.RECORDING, "ended_at": None}


@pytest.fixture
def client(ann: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(ann)


def listed(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(PATH, query)
    assert answer.status_code == 200
    for row in (rows := wire.decode(answer)):
        wire.check(row, RECORDING)
    return list(rows)


async def ask(owner: SignIn, below: str, method: str = "get") -> Any:
    """In the event loop, as the server does it: so answers can be streamed."""
    headers = {"Authorization": f"Bearer {owner.tokens.access}"}
    return await getattr(AsyncClient(), method)(f"{PATH}{below}", headers=headers)


async def download(owner: SignIn, row: Recording) -> tuple[Any, bytes]:
    answer = await ask(owner, f"/{row.pk}/download")
    if not answer.streaming:
        return answer, answer.content
    return answer, b"".join([chunk async for chunk in answer])


# --- Looking


@pytest.mark.parametrize("slash", ["", "/"])
def test_one_is_shown_as_it_is(slash: str, home: Environment, recorded: Recorded, client: APIClient) -> None:
    row = recorded(session="logs", cols=100, rows=30)
    [shown] = listed(client)
    assert shown == wire.decode(client.get(f"{PATH}/{row.pk}{slash}"))
    assert shown["expires_at"][:10] == (row.ended_at + timedelta(days=30)).isoformat()[:10]
    assert (shown["id"], shown["environment_id"], shown["environment_name"]) == (str(row.pk), str(home.pk), home.name)
    assert (shown["session"], shown["state"], shown["cols"], shown["rows"]) == ("logs", "complete", 100, 30)
    assert (shown["size_bytes"], shown["duration_s"]) == (row.size_bytes, 2.5)


def test_one_that_is_recorded_has_no_end(recorded: Recorded, client: APIClient) -> None:
    row = recorded(**LIVE, environment=None)
    shown = wire.decode(client.get(f"{PATH}/{row.pk}"))
    wire.check(shown, RECORDING)
    assert [shown[key] for key in ("session", "ended_at", "expires_at", "environment_id")] == [None] * 4


def test_the_list_is_newest_first_and_by_environment_and_in_pages(
    ann: SignIn, ben: SignIn, home: Environment, recorded: Recorded, client: APIClient
) -> None:
    other = home_of(ann.user, name="Other")
    rows = [recorded(text=None, ago=timedelta(hours=hours)) for hours in (1, 2, 3)]
    of_other = recorded(text=None, environment=other, ago=timedelta(hours=4))
    recorded(text=None, owner=ben.user)
    assert [row["id"] for row in listed(client)] == [str(row.pk) for row in (*rows, of_other)]
    assert [row["id"] for row in listed(client, environment_id=other.pk)] == [str(of_other.pk)]
    assert listed(client, environment_id=uuid.uuid4()) == []
    answer = client.get(PATH, {"environment_id": home.pk, "limit": 1, "offset": 1})
    assert [row["id"] for row in answer.json()] == [str(rows[1].pk)]
    assert answer["X-Total-Count"] == "3"
    assert f"environment_id={home.pk}" in answer["Link"]
    envelope = client.get(PATH, {"envelope": "true"}).json()
    assert (len(envelope["recordings"]), envelope["total"]) == (4, 4)


def test_a_list_costs_the_same_however_long_it_is(
    recorded: Recorded, client: APIClient, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        recorded(text=None)
    with django_assert_num_queries(2):  # the session, and the rows, which are all
        assert len(client.get(PATH).json()) == 5


@pytest.mark.parametrize("word", ["", "x", "1", "null", "\0"])
def test_what_is_no_id_of_an_environment_is_refused(word: str, client: APIClient) -> None:
    assert wire.field_codes(client.get(PATH, {"environment_id": word})) == {"environment_id": "invalid"}


# --- Whose they are


@pytest.mark.parametrize(("method", "below"), ROUTES)
def test_somebody_elses_is_unknown(
    method: str, below: str, ben: SignIn, recorded: Recorded, client_of: ClientOf
) -> None:
    row = recorded()
    for pk in (row.pk, uuid.uuid4(), "x", "%00"):
        wire.check_refusal(getattr(client_of(ben), method)(f"{PATH}/{pk}{below}"), 404, "not_found")
    assert Recording.objects.exists()
    assert default_storage.exists(row.file.name)


@pytest.mark.parametrize(("method", "below"), ROUTES)
def test_without_a_sign_in_nothing_is_said(method: str, below: str, recorded: Recorded) -> None:
    answer = getattr(APIClient(), method)(f"{PATH}/{recorded().pk}{below}")
    wire.check_refusal(answer, 401, "not_authenticated")
    wire.check_refusal(APIClient().get(PATH), 401, "not_authenticated")


@pytest.mark.parametrize(("method", "below"), [("post", ""), ("put", "/x"), ("patch", "/x"), ("post", "/x/download")])
def test_they_are_not_changed(method: str, below: str, client: APIClient) -> None:
    wire.check_refusal(getattr(client, method)(f"{PATH}{below}"), 405, "method_not_allowed")


# --- Downloading


@pytest.mark.django_db(transaction=True)
async def test_a_recording_is_downloaded_as_it_was_made(ann: SignIn, begin: Begin) -> None:
    recorder = await begin()
    said = "€" * 100_000  # several chunks
    recorder.output(said.encode())
    await recorder.aclose()
    row = await Recording.objects.aget(pk=recorder.id)
    answer, data = await download(ann, row)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-asciicast"
    assert answer["Content-Disposition"] == f'attachment; filename="home-123456-{row.started_at:%Y-%m-%d}.cast"'
    assert answer["Content-Length"] == str(len(data)) == str(row.size_bytes)
    assert answer["Cache-Control"] == "no-store"
    assert read_cast(data).text == said
    answer = await ask(ann, f"/{row.pk}/download", "head")
    assert (answer.status_code, answer["Content-Length"]) == (200, str(row.size_bytes))


@pytest.mark.django_db(transaction=True)
async def test_a_download_is_read_as_it_is_taken(ann: SignIn, recorded: Recorded) -> None:
    row = await asyncio.to_thread(recorded, "x" * 1_000_000)
    answer = await ask(ann, f"/{row.pk}/download")
    sizes = [len(chunk) async for chunk in answer]
    assert max(sizes) <= 65536
    assert sum(sizes) == row.size_bytes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "slug"), [("Été <1>", "ete-1"), ('"\r\nX: y', "x-y"), ("日本", "terminal")])
async def test_without_its_environment_the_file_has_its_name(
    name: str, slug: str, ann: SignIn, recorded: Recorded
) -> None:
    row = await asyncio.to_thread(recorded, environment=None, environment_name=name)
    answer, _ = await download(ann, row)
    assert answer["Content-Disposition"] == f'attachment; filename="{slug}-{row.started_at:%Y-%m-%d}.cast"'


@pytest.mark.parametrize("columns", [LIVE, {"text": None, "state": State.BROKEN}])
def test_what_is_not_stored_can_not_be_downloaded(
    columns: dict[str, Any], recorded: Recorded, client: APIClient
) -> None:
    row = recorded(**columns)
    body = wire.check_refusal(client.get(f"{PATH}/{row.pk}/download"), 409, "invalid_state")
    assert body["context"] == {"state": row.state}


@pytest.mark.parametrize("state", [State.LIMITED, State.BROKEN])
@pytest.mark.django_db(transaction=True)
async def test_what_was_cut_off_can_be(state: str, ann: SignIn, recorded: Recorded) -> None:
    row = await asyncio.to_thread(recorded, state=state)
    answer, data = await download(ann, row)
    assert answer.status_code == 200
    assert read_cast(data).text == "x"


def test_a_file_that_the_storage_has_lost_is_not_found(recorded: Recorded, client: APIClient) -> None:
    row = recorded()
    default_storage.delete(row.file.name)
    wire.check_refusal(client.get(f"{PATH}/{row.pk}/download"), 404, "not_found")


def test_a_storage_that_is_away_is_told(recorded: Recorded, client: APIClient, settings: Any) -> None:
    row = recorded()
    settings.STORAGES = storage("AwayStorage")
    answer = client.get(f"{PATH}/{row.pk}/download")
    wire.check_refusal(answer, 503, "service_unavailable")
    assert answer["Retry-After"] == "30"


# --- Deleting


@pytest.mark.django_db(transaction=True)
def test_deleting_one_deletes_its_file(recorded: Recorded, client: APIClient, places: Path) -> None:
    row, other = recorded(), recorded()
    assert client.delete(f"{PATH}/{row.pk}").status_code == 204
    assert left_in(places) == [f"media/recordings/{other.pk}.cast"]
    assert [shown["id"] for shown in listed(client)] == [str(other.pk)]
    for method, below in ROUTES:
        wire.check_refusal(getattr(client, method)(f"{PATH}/{row.pk}{below}"), 404, "not_found")


@pytest.mark.django_db(transaction=True)
async def test_deleting_one_that_is_being_recorded_ends_it(ann: SignIn, begin: Begin, places: Path) -> None:
    recorder = await begin()
    recorder.output(b"secret")
    assert (await ask(ann, f"/{recorder.id}", "delete")).status_code == 204
    assert (await ask(ann, "")).json() == []
    await recorder.aclose()
    assert left_in(places) == []


# --- Described


def test_every_route_is_described() -> None:
    with GENERATOR_STATS.silence():
        paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    described = {path.removeprefix(PATH): routes for path, routes in paths.items() if path.startswith(PATH)}
    assert {path: set(routes) for path, routes in described.items()} == {
        "": {"get"},
        "/{recording_id}": {"get", "delete"},
        "/{recording_id}/download": {"get"},
    }
    searched = {parameter["name"] for parameter in described[""]["get"]["parameters"]}
    assert searched == {"environment_id", "limit", "offset", "envelope"}
    assert set(described["/{recording_id}/download"]["get"]["responses"]["200"]["content"]) == {
        "application/x-asciicast"
    }
