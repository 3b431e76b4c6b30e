"""What the environments' WebSocket tells, and when."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import SignIn
from accounts.tests.rows import environment
from devpocket.nudges import environment_nudge_on_commit
from devpocket.tests import wire
from environments.changes import environment_update
from environments.leases import happening_record, lease_take, progress_record
from environments.lifecycle import Phase
from environments.models import Environment
from environments.services import environment_create
from environments.tests.api import ENVIRONMENT, ENVIRONMENTS
from environments.tests.sshd import eventually
from templates_catalog.models import Template
from terminals import environments_consumer, slots, sockets
from terminals.environments_consumer import EnvironmentsConsumer
from terminals.models import OpenTerminal
from terminals.tests.consumer.environments.listening import nudge
from terminals.tests.consumer.served import act, change
from terminals.tests.consumer.test_activity import last_activity
from terminals.tests.test_counters import Counted, value

pytestmark = pytest.mark.django_db(transaction=True)


@database_sync_to_async
def over_http(ann: SignIn, **headers: str) -> list[dict[str, Any]]:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}", **headers)
    shown: list[dict[str, Any]] = wire.decode(client.get(ENVIRONMENTS))
    return shown


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many there were is its length."""
    made: list[int] = []
    look = environments_consumer.look_at_all

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(len(made))
        return look(*arguments, **options)

    monkeypatch.setattr(environments_consumer, "look_at_all", counted)
    return made


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nudges have come to the socket is its length."""
    came: list[int] = []
    hear = EnvironmentsConsumer.environment_changed

    def counted(socket: EnvironmentsConsumer, event: Any) -> None:
        came.append(len(came))
        hear(socket, event)

    monkeypatch.setattr(EnvironmentsConsumer, "environment_changed", counted)
    return came


# --- The objects


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_welcome_has_what_the_api_gives(at: Any, ann: SignIn, home: Environment, slash: str) -> None:
    for phase in (Phase.CREATING, Phase.STOPPED, Phase.ERROR, Phase.TERMINATED):
        await database_sync_to_async(environment)(ann, phase)
    async with at(slash=slash) as socket:
        welcome = await socket.until_sent(type="welcome")
        assert socket.types == ["welcome"]
        assert welcome["environments"] == await over_http(ann)
        assert [shown["phase"] for shown in welcome["environments"]] == ["error", "stopped", "creating", "running"]
        assert welcome["message"]


async def test_one_that_changes_is_told_as_the_api_gives_it(at: Any, ann: SignIn, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await act(home, "stop")
        told = await socket.until_told(phase="stopping")
        wire.check(told, ENVIRONMENT)
        assert [told] == await over_http(ann)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("status_format=full", []), ("status_format=FULL", []), ("", [(b"x-devpocket-status", b"full")])],
)
async def test_full_statuses_are_for_those_who_ask_for_them(
    at: Any, ann: SignIn, home: Environment, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    async with at() as socket, at(query, headers=headers) as knowing:
        for one in (socket, knowing):
            await one.until_sent(type="welcome")
        await act(home, "stop")
        assert (await socket.until_told(phase="stopping"))["status"] == "stopped"
        told = await knowing.until_told(phase="stopping")
        assert told["status"] == "stopping"
        assert [told] == await over_http(ann, HTTP_X_DEVPOCKET_STATUS="full")


async def test_somebody_elses_are_never_told(at: Any, ann: SignIn, ben: SignIn, home: Environment) -> None:
    other = await database_sync_to_async(environment)(ben, installation_completed=True)
    async with at() as socket, at(token=ben.tokens.access) as bens:
        assert [one["id"] for one in (await socket.until_sent(type="welcome"))["environments"]] == [str(home.pk)]
        assert [one["id"] for one in (await bens.until_sent(type="welcome"))["environments"]] == [str(other.pk)]
        await act(other, "stop")
        await bens.until_told(id=str(other.pk), phase="stopping")
        await nudge(home)
        await act(home, "stop")
        await socket.until_told(phase="stopping")
        await act(other, "delete")
        await bens.until_sent(type="environment_removed", environment_id=str(other.pk))
        await act(home, "delete")
        await socket.until_sent(type="environment_removed")
        assert {shown["id"] for shown in socket.told()} == {str(home.pk)}
        assert str(other.pk) not in str(socket.sent)


async def test_whoever_has_none_hears_of_the_first(at: Any, ben: SignIn, home: Environment) -> None:
    async with at(token=ben.tokens.access) as socket:
        assert (await socket.until_sent(type="welcome"))["environments"] == []
        columns = {"region": "nyc3", "size": "s", "image": "i", "memory_mb": 1, "vcpus": 1, "disk_gb": 1}

        @database_sync_to_async
        def create() -> Environment:
            template = Template.objects.get(pk="ubuntu")
            return environment_create(
                owner_id=ben.user.pk, template=template, name="From my phone", storage_size_gb=1, **columns
            ).environment

        created = await create()
        told = await socket.until_told(name="From my phone")
        assert (told["id"], told["phase"]) == (str(created.pk), "creating")


async def test_every_way_to_write_a_row_announces_it(at: Any, ann: SignIn, home: Environment) -> None:
    """And not only the next look, which comes much later."""

    @database_sync_to_async
    def step() -> None:
        row = lease_take(home.pk, owner="p")
        assert row is not None
        progress_record(row, owner="p", progress=50, message="Half way")
        happening_record(row, owner="p", kind="seen", message="x")

    async with at() as socket:
        await socket.until_sent(type="welcome")
        await change(home, next_step_at=timezone.now())
        await step()
        await socket.until_told(status_message="Half way", progress=50)
        await database_sync_to_async(environment_update)(environment_id=home.pk, owner_id=ann.user.pk, name="Renamed")
        await socket.until_told(name="Renamed")
        await act(home, "delete")
        removed = await socket.until_sent(type="environment_removed")
        assert removed == {"type": "environment_removed", "environment_id": str(home.pk)}


# --- When


async def test_a_burst_of_nudges_costs_one_look(
    at: Any, home: Environment, looks: list[int], heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnvironmentsConsumer, "gather_s", 2.0)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        looks.clear()
        await change(home, name="Renamed")
        for _ in range(10):
            await nudge(home)
            await database_sync_to_async(int)()  # time enough for a look, which goes by the same thread
        await socket.until_told(name="Renamed")
        assert (len(looks), len(heard)) == (1, 10)


async def test_nudges_during_a_look_cost_one_more(
    at: Any, home: Environment, looks: list[int], heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnvironmentsConsumer, "gather_s", 0.0)
    may_look = threading.Event()
    may_look.set()
    look = environments_consumer.look_at_all

    def held(*arguments: Any, **options: Any) -> Any:
        found = look(*arguments, **options)
        assert may_look.wait(5)
        return found

    monkeypatch.setattr(environments_consumer, "look_at_all", held)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        looks.clear()
        may_look.clear()
        await nudge(home)
        await eventually(lambda: len(looks) == 1)
        for _ in range(50):
            await nudge(home)
        await eventually(lambda: len(heard) == 51)
        may_look.set()
        await eventually(lambda: len(looks) == 2)
        await change(home, name="Renamed")
        await nudge(home)
        await socket.until_told(name="Renamed")
        assert len(looks) == 3


async def test_what_moves_all_the_time_says_nothing(at: Any, home: Environment, looks: list[int]) -> None:
    at_first = {"cpu_percent": 3.0, "memory_percent": 40.0, "storage_percent": 7.0, "billing_usd_per_hour": 5.0}
    await change(home, **at_first, last_activity_at=timezone.now(), phase_changed_at=timezone.now())
    async with at() as socket:
        await socket.until_sent(type="welcome")
        looks.clear()
        later = timezone.now() + timedelta(minutes=1)
        await change(home, cpu_percent=9.0, memory_percent=45.0, storage_percent=8.5, last_activity_at=later)
        await nudge(home)
        await eventually(lambda: len(looks) == 1)
        await change(home, cpu_percent=14.0)
        await nudge(home)
        told = await socket.until_told(cpu_usage=14.0)
        assert (told["memory_usage"], told["storage_usage"]) == (45.0, 8.5)  # with it
        assert len(socket.told()) == 1


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.INSTALLING])
async def test_a_lost_nudge_is_made_up_for(
    at: Any, home: Environment, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sooner, while something is under way."""
    monkeypatch.setattr(*{Phase.RUNNING: (slots, "RENEW_S"), Phase.INSTALLING: (sockets, "LOOK_OFTEN_S")}[phase], 0.05)
    await change(home, phase=phase)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await change(home, status_message="Nobody said so")
        await socket.until_told(status_message="Nobody said so")
        await change(home, phase=Phase.TERMINATED)
        await socket.until_sent(type="environment_removed", environment_id=str(home.pk))


async def test_a_nudge_that_comes_while_it_is_let_in_is_not_lost(
    at: Any, home: Environment, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = environments_consumer.look_at_all

    def and_changed(*arguments: Any, **options: Any) -> Any:
        found = look(*arguments, **options)
        if len(looks) == 1:
            Environment.objects.filter(pk=home.pk).update(name="Renamed")
            environment_nudge_on_commit(home.pk, home.owner_id)
        return found

    monkeypatch.setattr(environments_consumer, "look_at_all", and_changed)
    async with at() as socket:
        assert (await socket.until_sent(type="welcome"))["environments"][0]["name"] == home.name
        await socket.until_told(name="Renamed")


async def test_a_client_that_reads_nothing_gets_what_holds_when_it_reads(
    at: Any, ann: SignIn, home: Environment, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnvironmentsConsumer, "gather_s", 0.0)
    short = await database_sync_to_async(environment)(ann, installation_completed=True)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.stall()
        for number in range(20):
            looks.clear()
            await change(home, name=f"name {number}")
            await change(short, name=f"short {number}")
            await nudge(home)
            await eventually(lambda: bool(looks))
        await act(short, "delete")
        await eventually(lambda: len(looks) >= 2)
        created = await database_sync_to_async(environment)(ann, installation_completed=True)
        looks.clear()
        await nudge(home)
        await eventually(lambda: bool(looks))
        socket.go_on()
        await socket.until_told(id=str(created.pk))
        await socket.until_told(name="name 19")
        await socket.until_sent(type="environment_removed", environment_id=str(short.pk))
        # One was on its way when the client stopped reading; of all others only the last.
        assert len(socket.told()) + socket.types.count("environment_removed") <= 4


async def test_what_came_and_went_unseen_is_not_told(
    at: Any, ann: SignIn, home: Environment, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnvironmentsConsumer, "gather_s", 0.0)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.stall()
        await change(home, name="On its way")
        await nudge(home)
        await eventually(lambda: len(looks) == 2)
        brief = await database_sync_to_async(environment)(ann, installation_completed=True)
        await nudge(home)
        await eventually(lambda: len(looks) == 3)
        await change(brief, phase=Phase.TERMINATED)
        for looked in (4, 5):  # one begins when what the one before it has found was taken in
            await nudge(home)
            await eventually(lambda looked=looked: len(looks) == looked)
        socket.say(type="ping")
        socket.go_on()
        await socket.until_sent(type="pong")
        await change(home, name="The end")
        await nudge(home)
        await socket.until_told(name="The end")
        assert str(brief.pk) not in str(socket.sent)
        assert "environment_removed" not in socket.types


async def test_a_client_that_comes_back_is_told_all_anew(at: Any, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.vanish()
        async with asyncio.timeout(5):
            await socket.until_ended()
    await act(home, "stop")
    async with at() as socket:
        assert (await socket.until_sent(type="welcome"))["environments"][0]["phase"] == "stopping"
        await act(home, "delete")
        await socket.until_sent(type="environment_removed")


# --- What it is not


async def test_it_is_no_use_of_a_machine_and_no_terminal(at: Any, home: Environment, looks: list[int]) -> None:
    opened = Counted("terminal_sockets_total", kind="environments", result="opened")
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await nudge(home)
        await eventually(lambda: len(looks) == 2)
        assert value("terminal_sockets_open", kind="environments", mode="view") == 1
        assert await database_sync_to_async(OpenTerminal.objects.count)() == 0
    assert await last_activity(home) is None
    assert (opened(), value("terminal_sockets_open", kind="environments", mode="view")) == (1, 0)
