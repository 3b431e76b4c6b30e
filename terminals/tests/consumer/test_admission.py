"""Who gets a socket: from where, and how many at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core.cache import cache

from accounts.models import User
from accounts.services import SignIn, session_logout
from accounts.tests.rows import environment
from environments.idle import find_warned_stop
from environments.models import Environment
from environments.tests.sshd import eventually
from terminals import access, consumers, frames, slots
from terminals.handshake import Handshake
from terminals.tests.consumer.served import change

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("allowed", "origin", "welcomed"),
    [
        ([], None, True),
        (["https://app.example.org"], b"https://app.example.org", True),
        (["*"], b"https://anywhere.example", True),
        ([], b"https://app.example.org", False),
        (["https://app.example.org"], b"https://app.example.org.evil.example", False),
        (["https://app.example.org"], b"null", False),
    ],
)
async def test_browsers_come_from_allowed_origins_only(
    at: Any, settings: Any, allowed: list[str], origin: bytes | None, welcomed: bool
) -> None:
    settings.WS_ALLOWED_ORIGINS = allowed
    async with at(headers=[(b"origin", origin)] if origin else []) as socket:
        if welcomed:
            await socket.until_sent(type="welcome")
        else:
            assert await socket.until_closed() == (1008, "Authentication failed")
            assert [frame["code"] for frame in socket.sent] == ["authentication_failed"]


def test_a_slot_is_its_holders_alone(ann: SignIn, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    owner, first, second = str(ann.user.pk), *(f"ws-slot:{ann.user.pk}:{number}" for number in range(2))
    assert slots.slot_take(owner, "one")
    assert slots.slot_take(owner, "two")
    assert not slots.slot_take(owner, "three")
    slots.slot_free("nobody")
    assert cache.get_many([first, second]) == {first: "one", second: "two"}
    slots.slot_free("one")
    assert slots.slot_take(owner, "three")
    slots.slot_renew("one")  # it has none any more
    assert cache.get(first) == "three"
    cache.delete(second)  # ran out
    slots.slot_renew("two")
    assert cache.get(second) == "two"
    cache.set(second, "elsewhere")  # ran out, and somebody else was faster
    slots.slot_free("two")
    assert cache.get(second) == "elsewhere"
    slots.slot_free("three")


async def test_the_checks_have_an_order(at: Any, ann: SignIn, ben: SignIn, home: Environment, settings: Any) -> None:
    """Contract 9.1: token, user, session's name, environment, connections, phase."""
    settings.WS_CONNECTIONS_PER_USER = 1
    await change(home, phase="stopped")
    assert await refusal(at()) == "environment_not_running"
    for user in (ann.user, ben.user):
        assert slots.slot_take(str(user.pk), f"of {user}")
    assert await refusal(at()) == "too_many_connections"
    assert await refusal(at(token=ben.tokens.access)) == "environment_not_found"
    assert await refusal(at(environment_id="none")) == "environment_not_found"
    assert await refusal(at("session=A", token=ben.tokens.access)) == "invalid_session"
    await database_sync_to_async(session_logout)(session=ann.session)
    await database_sync_to_async(User.objects.filter(pk=ben.user.pk).update)(is_active=False)
    assert await refusal(at()) == "authentication_failed"
    assert await refusal(at("session=A", token=ben.tokens.access)) == "authentication_failed"
    assert await refusal(at(environment_id="none")) == "authentication_failed"
    for user in (ann.user, ben.user):
        slots.slot_free(f"of {user}")


async def refusal(served: Any) -> str:
    async with served as socket:
        assert (await socket.until_closed())[0] == 1008
        assert socket.types == ["error"]
        return str(socket.sent[0]["code"])


def test_who_has_a_token_is_let_in_with_one_query(ann: SignIn, django_assert_num_queries: Any) -> None:
    """And what clients are told of the environment needs no other."""
    home = environment(ann, installation_completed=True, droplet_id=1, droplet_ip="127.0.0.1")
    with django_assert_num_queries(0):
        found = access.check_access(Handshake(str(home.pk), token=ann.tokens.access), admits_guests=True)
    with django_assert_num_queries(1):
        standing = access.look_again(found)
        assert standing.is_admitted
        assert standing.environment is not None
        assert found.let_in(standing.environment).environment_name == home.name
        assert frames.welcome(standing.environment, session="s", stream=None)
        assert frames.status_update(standing.environment)
        assert find_warned_stop(standing.environment) is None


async def test_a_slot_is_free_before_all_else_is_cleaned_up(
    at: Any, ann: SignIn, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WS_CONNECTIONS_PER_USER = 1
    is_cleaned_up = asyncio.Event()
    leave = consumers.TerminalConsumer.leave

    async def slowly(socket: consumers.TerminalConsumer) -> None:
        await leave(socket)
        await is_cleaned_up.wait()

    async with at() as first:
        await first.until_sent(type="welcome")
        monkeypatch.setattr(consumers.TerminalConsumer, "leave", slowly)
        first.vanish()
        await eventually(lambda: cache.get(f"ws-slot:{ann.user.pk}:0") is None)
        async with at() as second:
            await second.until_sent(type="welcome")
            assert not first.task.done()
            is_cleaned_up.set()
