"""What is open in all processes: rows follow what this one has open, and go with a process that was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import OperationalError
from django.utils import timezone

from accounts.services import SignIn
from devpocket.errors import NotFound
from devpocket.testing.layers import layer_aclose
from environments.models import Environment
from environments.tests.homes import home_of
from terminals import presence
from terminals.models import Mode, OpenTerminal, TerminalShare
from terminals.presence import (
    BATCH,
    PROCESS,
    Presence,
    lifespan,
    open_by_process,
    open_here,
    open_terminals,
    presence_prune,
    presence_renew,
    terminal_closed,
    terminal_opened,
    terminal_terminate,
)
from terminals.tests.phone import eventually

pytestmark = pytest.mark.django_db

WAIT_S = 5
OTHER = "elsewhere:1:00"


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    presence._open_here.clear()
    yield
    presence._open_here.clear()


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user)


@pytest.fixture
def opened(home: Environment) -> Callable[..., UUID]:
    """opened("a"): that socket of Ann's was admitted; the id of its row."""

    def make(channel_name: str, **columns: Any) -> UUID:
        fields = {
            **{"kind": OpenTerminal.Kind.TERMINAL, "user_id": home.owner_id, "share_id": None, "mode": Mode.WRITE},
            **{"environment_id": home.pk, "session": f"devpocket_{home.pk}"},
        }
        return terminal_opened(channel_name=channel_name, **{**fields, **columns})

    return make


def elsewhere(home: Environment, *, seen_s_ago: float = 0) -> OpenTerminal:
    """A socket of another process."""
    return OpenTerminal.objects.create(
        **{"process": OTHER, "channel_name": str(uuid4()), "kind": "terminal", "environment": home},
        seen_at=timezone.now() - timedelta(seconds=seen_s_ago),
    )


def age_of(pk: UUID) -> float:
    return (timezone.now() - OpenTerminal.objects.get(pk=pk).seen_at).total_seconds()


def frozen_for(seconds: float) -> None:
    OpenTerminal.objects.filter(process=PROCESS).update(seen_at=timezone.now() - timedelta(seconds=seconds))


def test_what_is_opened_is_listed_until_it_is_closed(opened: Callable[..., UUID], home: Environment) -> None:
    before = timezone.now()
    pk, other = opened("a"), opened("b", kind="logs", session="")
    row = open_terminals().get(pk=pk)
    assert (row.process, row.channel_name, row.kind, row.mode) == (PROCESS, "a", "terminal", "write")
    assert (row.user_id, row.share_id, row.environment, row.session) == (
        home.owner_id,
        None,
        home,
        f"devpocket_{home.pk}",
    )
    assert before <= row.opened_at <= timezone.now()
    assert abs(age_of(pk)) < 5
    assert (open_here("terminal", "write"), open_here("logs", "write"), open_here("terminal", "view")) == (1, 1, 0)
    terminal_closed(channel_name="a")
    terminal_closed(channel_name="a")  # again
    terminal_closed(channel_name="never-opened")
    assert list(open_terminals().values_list("pk", flat=True)) == [other]
    assert (open_here("terminal", "write"), open_here("logs", "write")) == (0, 1)


def test_a_guest_is_listed_by_link(opened: Callable[..., UUID], home: Environment) -> None:
    link = TerminalShare.objects.create(
        environment=home, created_by=home.owner, token_digest="d", expires_at=timezone.now()
    )
    pk = opened("a", user_id=None, share_id=link.pk, mode=Mode.VIEW)
    assert link.viewers.get().pk == pk
    assert open_here("terminal", "view") == 1


def test_renewing_is_of_this_process_alone(
    opened: Callable[..., UUID], home: Environment, django_assert_num_queries: Any
) -> None:
    mine, others = [opened("a"), opened("b")], elsewhere(home, seen_s_ago=60)
    frozen_for(60)
    with django_assert_num_queries(2):
        presence_renew()
    assert max(age_of(pk) for pk in mine) < 5
    assert age_of(others.pk) >= 60


def test_a_killed_process_is_forgotten_after_90_s(home: Environment) -> None:
    alive = elsewhere(home, seen_s_ago=85)
    elsewhere(home, seen_s_ago=91)
    assert [*open_terminals()] == [alive]  # before anybody has pruned
    assert open_by_process() == [(OTHER, 1)]
    presence_prune()
    assert [*OpenTerminal.objects.all()] == [alive]


def test_what_was_taken_for_dead_comes_back_as_it_was(opened: Callable[..., UUID]) -> None:
    pks = {opened("a"), opened("b")}
    opened_at = OpenTerminal.objects.get(channel_name="a").opened_at
    frozen_for(91)
    presence_prune()  # as another process does
    assert not OpenTerminal.objects.exists()
    presence_renew()
    assert set(open_terminals().values_list("pk", flat=True)) == pks
    assert OpenTerminal.objects.get(channel_name="a").opened_at == opened_at
    terminal_closed(channel_name="a")
    terminal_closed(channel_name="b")
    presence_renew()
    assert not OpenTerminal.objects.exists()


def test_any_number_comes_back_and_goes(opened: Callable[..., UUID]) -> None:
    names = [str(number) for number in range(BATCH + 2)]
    for name in names:
        opened(name)
    OpenTerminal.objects.all().delete()
    presence_renew()
    assert open_terminals().count() == len(names)
    presence._open_here.clear()
    presence_renew()
    assert not OpenTerminal.objects.exists()


def test_a_row_whose_removal_failed_goes_at_the_next_renewal(
    opened: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("a")
    kept = opened("b")
    with monkeypatch.context() as patch:
        patch.setattr(OpenTerminal.objects, "filter", fails)
        terminal_closed(channel_name="a")
    assert open_terminals().count() == 2
    presence_renew()
    assert open_terminals().get().pk == kept


def fails(*_arguments: Any, **_more: Any) -> Any:
    raise OperationalError("the database is away")


def test_without_a_database_a_terminal_opens_and_is_listed_later(
    opened: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(OpenTerminal.objects, "bulk_create", fails)
        pk = opened("a")
    assert not OpenTerminal.objects.exists()
    presence_renew()
    assert open_terminals().get().pk == pk


@pytest.mark.django_db(transaction=True)
def test_a_row_that_cannot_be_written_keeps_no_other_from_it(opened: Callable[..., UUID]) -> None:
    before, nowhere, after = opened("a"), opened("b", environment_id=uuid4()), opened("c")
    OpenTerminal.objects.all().delete()
    presence_renew()
    assert nowhere is not None
    assert set(open_terminals().values_list("pk", flat=True)) == {before, after}


# --- The loop


@pytest.mark.django_db(transaction=True)
async def test_a_server_renews_prunes_and_leaves_nothing_behind(home: Environment, opened: Callable[..., UUID]) -> None:
    dead = await database_sync_to_async(elsewhere)(home, seen_s_ago=91)
    alive = await database_sync_to_async(elsewhere)(home)
    pk = await database_sync_to_async(opened)("a")
    await database_sync_to_async(frozen_for)(60)
    async with lifespan():
        await eventually(database_sync_to_async(lambda: age_of(pk) < 5))
        await eventually(database_sync_to_async(lambda: not OpenTerminal.objects.filter(pk=dead.pk).exists()))
    assert await database_sync_to_async(list)(OpenTerminal.objects.all()) == [alive]


@pytest.mark.django_db(transaction=True)
async def test_a_database_that_is_away_ends_nothing(
    opened: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    pk = await database_sync_to_async(opened)("a")
    await database_sync_to_async(frozen_for)(60)
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail() -> None:
        loop.call_soon_threadsafe(failed.set)
        fails()

    with monkeypatch.context() as patch:
        patch.setattr(presence, "presence_renew", fail)
        task = asyncio.create_task(Presence(renew_s=0.001).run())
        async with asyncio.timeout(WAIT_S):
            await failed.wait()
    await eventually(database_sync_to_async(lambda: age_of(pk) < 5))
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- Terminating


@pytest.fixture
async def layer() -> AsyncIterator[Any]:
    layer: Any = get_channel_layer()
    yield layer
    await layer_aclose(layer)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_guest", [False, True])
async def test_terminating_reaches_its_socket_and_is_in_the_time_line(
    is_guest: bool, layer: Any, opened: Callable[..., UUID], home: Environment, ben: SignIn
) -> None:
    channel_name, other = await layer.new_channel(), await layer.new_channel()

    def terminate() -> list[Any]:
        link = TerminalShare.objects.create(
            environment=home, created_by=home.owner, token_digest="d", expires_at=timezone.now()
        )
        guest = {"user_id": None, "share_id": link.pk} if is_guest else {}
        pk = opened(channel_name, **guest)
        opened(other)
        terminal_terminate(terminal_id=pk, actor_id=ben.user.pk)
        return [(event.kind, event.actor_id, event.phase, event.message) for event in home.events.all()]

    [(kind, actor_id, phase, message)] = await database_sync_to_async(terminate)()
    async with asyncio.timeout(WAIT_S):
        assert await layer.receive(channel_name) == {"type": "terminal.terminated"}
        await layer.send(other, {"type": "nothing.before.this"})
        assert await layer.receive(other) == {"type": "nothing.before.this"}
    assert (kind, actor_id, phase) == ("terminal_terminated", ben.user.pk, "running")
    assert message.startswith("A guest's terminal, " if is_guest else "Its owner's terminal, ")
    assert PROCESS not in message  # its owner sees this: no word of our servers


def test_what_is_not_open_cannot_be_terminated(home: Environment, ben: SignIn) -> None:
    for pk in (uuid4(), elsewhere(home, seen_s_ago=91).pk):
        with pytest.raises(NotFound):
            terminal_terminate(terminal_id=pk, actor_id=ben.user.pk)
    assert not home.events.exists()
