"""An environment's tmux sessions, listed and ended from outside: in a real tmux, and where it or its machine fails."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from channels.db import database_sync_to_async
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket.errors import NotFound, ServiceUnavailable
from devpocket.testing.server import Server
from devpocket.tests import wire
from environments import connections
from environments.lifecycle import Phase
from environments.models import Environment
from environments.tests.api import ENVIRONMENTS, ClientOf, check_phase_refusal
from environments.tests.homes import home_of
from environments.tests.sshd import Machine, Process, eventually, never
from terminals import sessions
from terminals.sessions import TmuxSession, parse_sessions
from terminals.tests.homes import Home, settled
from terminals.tests.phone import Phone
from terminals.tests.phone import eventually as until

SESSION: dict[str, wire.Reader] = {
    "name": wire.nullable(wire.text),
    "session": wire.text,
    "created_at": wire.time,
    "last_activity_at": wire.time,
    "attached": wire.whole,
    "windows": wire.whole,
}
ID = uuid.UUID("5d0c1d7e-0000-4000-8000-000000000000")
OWN = f"devpocket_{ID}"

# --- On a real machine


async def ask(server: Server, home: Home, method: str, below: str = "", *, token: str = "") -> Any:
    path = f"/environments/{home.environment_id}/sessions{below}"
    return await asyncio.to_thread(server.ask, method, path, token=token or home.token)


async def listed(server: Server, home: Home) -> list[dict[str, Any]]:
    answer = await ask(server, home, "GET")
    assert answer.status_code == 200, answer.text
    for shown in answer.json():
        wire.check(shown, SESSION)
    return list(answer.json())


async def names(server: Server, home: Home) -> list[str | None]:
    return [shown["name"] for shown in await listed(server, home)]


@pytest.fixture(scope="module")
def rooms(server: Server) -> Home:
    """An environment whose sessions nobody else's tests open."""
    return asyncio.run(settled(server))


def terminal(server: Server, home: Home, name: str | None = None) -> Any:
    return Phone.in_use(server, home.environment_id, home.token, f"session={name}" if name else "")


async def test_sessions_are_listed_and_ended(server: Server, rooms: Home) -> None:
    assert await listed(server, rooms) == []  # nobody has been there: no tmux at all
    before = datetime.now(UTC).replace(microsecond=0)
    async with AsyncExitStack() as stack:
        phones = {
            name: await stack.enter_async_context(terminal(server, rooms, name)) for name in (None, "logs", "pair")
        }
        own = phones[None]
        await own.run("tmux new-window -d; tmux new-session -d -s 'my own | x'; echo up-$((1+1))", "up-2")
        found = {shown["name"]: shown for shown in await listed(server, rooms)}
        assert set(found) == {None, "logs", "pair"}
        assert {name: shown["session"] for name, shown in found.items()} == {
            name: phone.welcome["session"] for name, phone in phones.items()
        }
        assert (found[None]["windows"], found["logs"]["windows"]) == (2, 1)
        assert {shown["attached"] for shown in found.values()} == {1}
        for shown in found.values():
            times = [datetime.fromisoformat(shown[name]) for name in ("created_at", "last_activity_at")]
            assert before <= times[0] <= times[1] <= datetime.now(UTC)

        # By its name, and by tmux's: those who look on are told, the others stay.
        assert (await ask(server, rooms, "DELETE", "/logs")).status_code == 204
        assert await phones["logs"].until_closed() == (1000, "normal")
        assert phones["logs"].frames[-1]["code"] == "session_ended"
        assert set(await names(server, rooms)) == {None, "pair"}
        answer = await ask(server, rooms, "DELETE", "/logs/")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await ask(server, rooms, "DELETE", f"/{own.welcome['session']}")).status_code == 204
        assert await own.until_closed() == (1000, "normal")
        await phones["pair"].run("echo stays-$((1+1))", "stays-2")
        await phones["pair"].run("tmux ls -F '<#S>'", "<my own | x>")


async def test_a_session_that_nobody_looks_at_is_listed_with_nobody(server: Server, rooms: Home) -> None:
    async with terminal(server, rooms, "left") as phone:
        await phone.run("echo up-$((1+1))", "up-2")
        [shown] = [one for one in await listed(server, rooms) if one["name"] == "left"]
        assert shown["attached"] == 1
        await phone.type("tmux detach-client\r")

        async def is_detached() -> bool:
            return [one["attached"] for one in await listed(server, rooms) if one["name"] == "left"] == [0]

        await until(is_detached)


async def test_all_are_ended_at_once(server: Server, rooms: Home) -> None:
    async with terminal(server, rooms) as first, terminal(server, rooms, "second") as second:
        await first.run("tmux new-session -d -s mine; echo up-$((1+1))", "up-2")
        assert (await ask(server, rooms, "DELETE")).status_code == 204
        for phone in (first, second):
            assert await phone.until_closed() == (1000, "normal")
        assert await listed(server, rooms) == []
        assert (await ask(server, rooms, "DELETE", "/")).status_code == 204  # there is nothing more to end
    async with terminal(server, rooms, "looks") as phone:
        await phone.run("tmux ls -F '<#S>'", "<mine>")  # it was not ours to end
        await phone.type("tmux kill-server\r")
        assert await phone.until_closed() == (1000, "normal")
    assert await listed(server, rooms) == []
    assert (await ask(server, rooms, "DELETE", "/looks")).status_code == 404


async def test_a_beginning_of_a_name_is_no_name(server: Server, rooms: Home) -> None:
    async with terminal(server, rooms, "abc"):
        for other in ("ab", "abcd", "a*", "%61%62", "$(id)", "ABC", "x" * 33, f"devpocket_{rooms.environment_id}"):
            answer = await ask(server, rooms, "DELETE", f"/{other}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), other
        assert await names(server, rooms) == ["abc"]
        assert (await ask(server, rooms, "DELETE", "/abc")).status_code == 204


# --- Who may, and when


CALLS = [("get", ""), ("delete", ""), ("delete", "/logs")]


def call(client: APIClient, method: str, environment_id: object, below: str) -> Any:
    return getattr(client, method)(f"{ENVIRONMENTS}/{environment_id}/sessions{below}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "below"), CALLS)
def test_sessions_are_their_owners_alone(
    method: str, below: str, ann: SignIn, ben: SignIn, client_of: ClientOf
) -> None:
    home = home_of(ann.user)
    wire.check_refusal(call(APIClient(), method, home.pk, below), 401, "not_authenticated")
    wire.check_refusal(call(client_of(ben), method, home.pk, below), 404, "not_found")
    for unknown in (uuid.uuid4(), "1", "%00"):
        wire.check_refusal(call(client_of(ann), method, unknown, below), 404, "not_found")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "below"), CALLS)
def test_a_machine_that_is_not_running_has_none(method: str, below: str, ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    for phase in set(Phase) - {Phase.RUNNING, Phase.TERMINATED}:
        Environment.objects.update(phase=phase)
        check_phase_refusal(call(client_of(ann), method, home.pk, below))
    Environment.objects.update(phase=Phase.TERMINATED)
    wire.check_refusal(call(client_of(ann), method, home.pk, below), 404, "not_found")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "below"), CALLS)
def test_a_machine_without_address_is_waited_for(method: str, below: str, ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user, droplet_ip=None)
    body = wire.check_refusal(call(client_of(ann), method, home.pk, below), 503, "service_unavailable")
    assert body["retry_after"] > 0


# --- On a machine that doesn't do what it should


@pytest.fixture
async def machine(settings: Any) -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    return home_of(ann.user, machine)


def saying(text: str, status: int) -> Callable[[Process], Awaitable[None]]:
    async def serve(process: Process) -> None:
        process.stdout.write(text.encode())
        process.exit(status)

    return serve


async def refusals(home: Environment) -> list[type[Exception] | None]:
    """What listing, ending one, and ending all of them raise."""
    who = {"environment_id": home.pk, "owner_id": home.owner_id}
    calls = (sessions.sessions_list(**who), sessions.session_kill(**who, name="x"), sessions.sessions_kill_all(**who))
    found: list[type[Exception] | None] = []
    for call in calls:
        try:
            await call
        except Exception as error:  # noqa: BLE001 -- which one it is, is what is looked at
            found.append(type(error))
        else:
            found.append(None)
    return found


@pytest.mark.parametrize(
    ("text", "status"),
    [("bash: tmux: command not found", 127), ("error connecting to /x (Permission denied)", 1), ("", 1), ("killed", 2)],
)
async def test_a_tmux_that_fails_is_told_of(text: str, status: int, machine: Machine, home: Environment) -> None:
    machine.serve = saying(text, status)
    assert await refusals(home) == [ServiceUnavailable] * 3


@pytest.mark.parametrize(
    "text",
    [
        "no server running on /home/devpocket/.tmux/tmux-1000/default",
        "error connecting to /home/devpocket/.tmux/tmux-1000/default (No such file or directory)",
    ],
)
async def test_a_machine_without_tmux_server_has_no_sessions(text: str, machine: Machine, home: Environment) -> None:
    machine.serve = saying(text, 1)
    assert await refusals(home) == [None, NotFound, None]


async def test_a_silent_machine_holds_nobody_up(
    machine: Machine, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "ANSWER_LIMIT_S", 0.3)
    machine.serve = never
    async with asyncio.timeout(5):
        assert await refusals(home) == [ServiceUnavailable] * 3


async def test_another_machine_at_the_address_is_not_spoken_to(machine: Machine, home: Environment) -> None:
    async with Machine.start() as stranger:
        key = stranger.host_key.export_public_key().decode()
        change = Environment.objects.filter(pk=home.pk).update
        await database_sync_to_async(change)(host_public_key=key)
        assert await refusals(home) == [ServiceUnavailable] * 3
        assert machine.logins == []


async def test_a_machine_that_is_gone_is_told_of(machine: Machine, home: Environment, settings: Any) -> None:
    settings.DROPLET_SSH_PORT = 1  # nobody listens
    assert await refusals(home) == [ServiceUnavailable] * 3


# --- What tmux prints


def line(name: str, *, created: int = 1_700_000_000, attached: int = 0) -> str:
    return f"{created} {created + 60} {attached} 2 {name}"


def test_only_this_environments_sessions_are_read() -> None:
    others = ["0", "work", f"{OWN}x", f"{OWN}_", f"{OWN}_A", f"{OWN}_a b", f"{OWN}_a_b", f"devpocket_{uuid.uuid4()}"]
    text = "\n".join(line(name) for name in [*others, f"{OWN}_logs", OWN])
    assert [(one.name, one.session) for one in parse_sessions(text, ID)] == [(None, OWN), ("logs", f"{OWN}_logs")]


def test_the_oldest_is_first_and_times_are_utc() -> None:
    text = "\n".join([line(f"{OWN}_new", created=1_700_000_100), line(f"{OWN}_old", attached=3)])
    first, second = parse_sessions(text, ID)
    begun = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert first == TmuxSession("old", f"{OWN}_old", begun, begun.replace(minute=14), attached=3, windows=2)
    assert second.name == "new"


@given(st.text(max_size=200), st.integers(0, 10**13), st.integers(-5, 10**10))
def test_reading_never_fails(text: str, seconds: int, count: int) -> None:
    for shown in (text, f"{seconds} {seconds} {count} 1 {OWN}", f"{seconds} 1 {count} 1 {OWN}_{text}"):
        for session in parse_sessions(shown, ID):
            assert session.session.startswith(OWN)
