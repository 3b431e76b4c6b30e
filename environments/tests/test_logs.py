"""GET /environments/{id}/logs: what it promises, on machines that answer, hang and lie."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient
from django.utils import timezone

from accounts.services import SignIn
from environments import connections, log_reader
from environments.lifecycle import Phase
from environments.models import Environment, EnvironmentEvent
from environments.records import event_record
from environments.tests.conftest import Until
from environments.tests.homes import home_of, shell_in
from environments.tests.sshd import Machine, Process, eventually, flood, never

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = re.compile(r"(\S+) \[(DEBUG|INFO|WARN|ERROR)\] (cloud-init|install|system|application|devpocket): (.+)")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Of the machine: a file a minute, the one of the progress last."""
    write(tmp_path / "var/log/cloud-init-output.log", "2026-01-01 10:00:00,000 - first\nsecond\n")
    write(tmp_path / "var/log/devpocket/app.log", "2026-01-01T10:01:00Z ERROR third\n2026-01-01T10:02:00Z fourth\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
async def machine(settings: Any, disk: Path) -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = shell_in(disk)
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    home = home_of(ann.user, machine)
    event_record(home, kind="create_requested")
    return home


async def ask(signed_in: SignIn | None, environment_id: object, query: str = "", *, method: str = "get") -> Any:
    headers = {} if signed_in is None else {"authorization": f"Bearer {signed_in.tokens.access}"}
    return await getattr(AsyncClient(), method)(f"/api/v1/environments/{environment_id}/logs{query}", headers=headers)


async def read(signed_in: SignIn, home: Environment, query: str = "") -> dict[str, Any]:
    answer = await ask(signed_in, home.pk, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def messages(body: dict[str, Any]) -> list[str]:
    return [entry["message"] for entry in body["entries"]]


@database_sync_to_async
def change(home: Environment, **columns: Any) -> None:
    Environment.objects.filter(pk=home.pk).update(**columns)


async def test_logs_of_the_machine_and_of_our_own(ann: SignIn, home: Environment) -> None:
    body = await read(ann, home)
    assert messages(body) == ["first", "second", "ERROR third", "fourth", "create_requested"]
    assert body.keys() == {
        "environment_id",
        "environment_name",
        "logs",
        "entries",
        "total",
        "total_lines",
        "has_more",
    }
    assert (body["environment_id"], body["environment_name"]) == (str(home.pk), "Home")
    assert (body["total"], body["total_lines"], body["has_more"]) == (5, 5, False)
    for text, entry in zip(body["logs"], body["entries"], strict=True):
        found = TEXT.fullmatch(text)
        assert found is not None
        assert found.groups() == (entry["timestamp"], entry["level"], entry["source"], entry["message"])
        assert entry["timestamp"].endswith("Z")
    assert body["logs"][0] == "2026-01-01T10:00:00Z [INFO] cloud-init: first"


async def test_whatever_is_asked_of_the_same_sources_is_one_read(
    ann: SignIn, home: Environment, machine: Machine
) -> None:
    shell, commands = machine.serve, []

    async def serve(process: Process) -> None:
        commands.append(process.command)
        await shell(process)

    machine.serve = serve
    queries = ("", "?lines=2", "?level=ERROR", "?since=2026-01-01T10:01:30")
    bodies = await asyncio.gather(*(read(ann, home, query) for query in queries))
    assert [len(body["entries"]) for body in bodies] == [5, 2, 1, 2]
    assert len(commands) == 1
    await read(ann, home, "?source=application")
    assert len(commands) == 2


async def test_as_objects(ann: SignIn, home: Environment) -> None:
    body = await read(ann, home, "?format=objects")
    assert body["logs"] == body["entries"]
    assert body["logs"][0]["source"] == "cloud-init"


async def test_the_newest_lines_oldest_first(ann: SignIn, home: Environment) -> None:
    body = await read(ann, home, "?lines=2")
    assert messages(body) == ["fourth", "create_requested"]
    assert (body["total"], body["has_more"]) == (5, True)
    assert (await read(ann, home, "?lines=5"))["has_more"] is False
    assert (await read(ann, home, "?lines=1000"))["total"] == 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("level=ERROR", ["ERROR third"]),
        ("level=error,WARN", ["ERROR third"]),
        ("source=application", ["ERROR third", "fourth"]),
        ("source=cloud-init,devpocket", ["first", "second", "create_requested"]),
        ("source=application&level=info&lines=1", ["fourth"]),
        ("source=install", []),
        ("since=2026-01-01T10:01:00Z", ["ERROR third", "fourth", "create_requested"]),
        ("since=2026-01-01T10:01:30", ["fourth", "create_requested"]),
        ("since=2026-01-01 10:01:30", ["fourth", "create_requested"]),
        ("since=2026-01-02", ["create_requested"]),
        (f"since={quote('2026-01-01T12:01:30+02:00')}", ["fourth", "create_requested"]),
        ("since=2026-01-01T12:01:30+02:00", ["fourth", "create_requested"]),  # "+" not escaped: it comes as a blank
        ("since=2026-01-01T05:01:30-0500", ["fourth", "create_requested"]),
        ("since=9999-12-31T23:59:59Z", []),
        ("follow=true&since=2026-01-02", ["create_requested"]),
    ],
)
async def test_filters(query: str, found: list[str], ann: SignIn, home: Environment) -> None:
    body = await read(ann, home, f"?{query}")
    assert messages(body) == found
    assert body["has_more"] == (body["total"] > len(found))


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("lines=0", "lines", "min_value"),
        ("lines=1001", "lines", "max_value"),
        ("lines=x", "lines", "invalid"),
        ("lines=", "lines", "invalid"),
        ("lines=1.0", "lines", "invalid"),
        ("lines=true", "lines", "invalid"),
        ("lines=1e1", "lines", "invalid"),
        ("since=yesterday", "since", "invalid"),
        ("since=", "since", "invalid"),
        ("since=2026-02-30", "since", "invalid"),
        ("since=0001-01-01T00:00:00%2B14:00", "since", "invalid"),
        ("level=LOUD", "level", "unknown_choice"),
        ("level=", "level", "unknown_choice"),
        ("level=INFO,", "level", "unknown_choice"),
        ("source=kernel", "source", "unknown_choice"),
        ("format=xml", "format", "unknown_choice"),
        ("format=", "format", "unknown_choice"),
    ],
)
async def test_what_cannot_be_asked_for(query: str, field: str, code: str, ann: SignIn, home: Environment) -> None:
    answer = await ask(ann, home.pk, f"?{query}")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.TERMINATED])
async def test_it_answers_in_every_phase(phase: Phase, ann: SignIn, home: Environment) -> None:
    await change(home, phase=phase)
    shown = messages(await read(ann, home))
    assert shown[-1] == "create_requested"
    assert ("first" in shown) == (phase in {Phase.INSTALLING, Phase.CONFIGURING, Phase.RUNNING, Phase.ERROR})


async def test_a_machine_that_hangs_adds_nothing_within_five_seconds(
    ann: SignIn, home: Environment, machine: Machine
) -> None:
    machine.serve = never
    began = time.monotonic()
    body = await read(ann, home)
    assert time.monotonic() - began < 5
    assert messages(body) == ["create_requested"]


@pytest.mark.parametrize("way", ["no channel", "no address", "another host key", "garbage", "flood"])
async def test_trouble_leaves_what_we_know(
    way: str, ann: SignIn, home: Environment, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "COMMAND_LIMIT_S", 1.0)
    if way == "no channel":
        machine.session_limit = 0
    elif way == "no address":
        await change(home, droplet_ip=None)
    elif way == "another host key":
        await change(home, host_public_key=machine.client_key.export_public_key().decode())
    elif way == "flood":
        machine.serve = flood
    else:

        async def serve(process: Process) -> None:
            process.stdout.write(bytes(range(256)) * 100)
            process.exit(1)

        machine.serve = serve
    assert messages(await read(ann, home)) == ["create_requested"]


async def test_events_have_levels_and_times(ann: SignIn, home: Environment) -> None:
    at = timezone.now() - timedelta(days=1)

    @database_sync_to_async
    def fill() -> None:
        for kind, phase, message in (
            ("phase_changed", "running", ""),
            ("error", "error", "cloud_error: no"),
            ("idle_warning", "running", "Stops at 12:00 UTC unless it is used"),
        ):
            EnvironmentEvent.objects.create(environment=home, at=at, kind=kind, phase=phase, message=message)

    await fill()
    body = await read(ann, home, "?source=devpocket")
    assert [(entry["level"], entry["message"]) for entry in body["entries"]] == [
        ("INFO", "phase_changed: running"),
        ("ERROR", "error: cloud_error: no"),
        ("WARN", "idle_warning: Stops at 12:00 UTC unless it is used"),
        ("INFO", "create_requested"),
    ]
    assert datetime.fromisoformat(body["entries"][0]["timestamp"]) == at.astimezone(UTC)


async def test_only_its_owner_may_ask(ann: SignIn, ben: SignIn, home: Environment) -> None:
    assert (await ask(None, home.pk)).status_code == 401
    assert (await ask(ben, home.pk)).status_code == 404
    assert (await ask(ann, uuid.uuid4())).status_code == 404
    assert (await ask(ann, "no-id")).status_code == 404
    assert (await ask(ben, home.pk, method="options")).status_code == 404
    for environment_id in (home.pk, uuid.uuid4(), "no-id"):  # whatever else is wrong
        assert (await ask(ben, environment_id, "?lines=0&since=yesterday")).status_code == 404
    await change(home, phase=Phase.TERMINATED)
    assert (await ask(ann, home.pk)).status_code == 404
    assert (await ask(ann, home.pk, "?lines=0")).status_code == 404


async def test_with_and_without_a_slash_and_read_only(ann: SignIn, home: Environment) -> None:
    assert (await ask(ann, home.pk, "/")).status_code == 200
    assert (await ask(ann, home.pk, method="head")).status_code == 200
    assert (await ask(ann, home.pk, method="post")).status_code == 405


@pytest.mark.usefixtures("provisioning")
async def test_a_fresh_machine_tells_how_it_was_set_up(
    ann: SignIn, create: Callable[..., Environment], until: Until
) -> None:
    secret = "s3cr3t-of-the-environment"
    row = await database_sync_to_async(create)(ann, environment_variables={"API_KEY": secret})
    row = await until(row, lambda row: row.phase == Phase.RUNNING)
    body = await read(ann, row, "?lines=1000")
    by_source: dict[str, list[str]] = {}
    for entry in body["entries"]:
        by_source.setdefault(entry["source"], []).append(entry["message"])
    assert by_source.keys() == {"cloud-init", "install", "devpocket"}  # nothing of this host's own journal
    assert any("modules:final" in message for message in by_source["cloud-init"])
    assert by_source["install"][0] == "system: a simulated machine, nothing is installed"
    assert not any("simulated machine" in message for message in by_source["cloud-init"])  # each line once
    assert "phase_changed: running" in by_source["devpocket"]
    assert secret not in str(body)
    times = [entry["timestamp"] for entry in body["entries"]]
    assert [datetime.fromisoformat(at) for at in times] == sorted(datetime.fromisoformat(at) for at in times)
