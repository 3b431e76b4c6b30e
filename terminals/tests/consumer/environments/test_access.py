"""Who may listen to the list of environments, how often, and for how long."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError

from accounts.models import User
from accounts.services import SignIn, session_logout
from devpocket.cache import CacheAway
from environments.models import Environment
from environments.tests.sshd import eventually
from terminals import environments_consumer, slots
from terminals.environments_consumer import EnvironmentsConsumer
from terminals.models import Mode
from terminals.shares import share_create
from terminals.tests.consumer.environments.listening import ListSocket, nudge
from terminals.tests.consumer.served import WAIT_S, change
from terminals.tests.test_counters import Counted
from terminals.tickets import ticket_issue

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = (1008, "Authentication failed")


async def test_a_token_comes_by_query_header_or_subprotocol(at: Any, ann: SignIn) -> None:
    token = ann.tokens.access
    async with at() as socket:
        await socket.until_sent(type="welcome")
    async with at(token="", headers=[(b"authorization", f"Bearer {token}".encode())]) as socket:
        await socket.until_sent(type="welcome")
    async with at(token="", subprotocols=["bearer", token]) as socket:
        await socket.until_sent(type="welcome")
        assert socket.subprotocol == "bearer"


async def test_a_ticket_opens_it_once(at: Any, ann: SignIn) -> None:
    ticket = await database_sync_to_async(ticket_issue)(session_id=ann.session.pk)
    async with at(f"ticket={ticket}", token="") as socket:
        await socket.until_sent(type="welcome")
    async with at(f"ticket={ticket}", token="") as socket:
        assert await socket.until_closed() == REFUSED


@pytest.mark.parametrize("query", ["", "token=", "token=a.b.c", "ticket=x"])
async def test_nobody_else_gets_in(at: Any, home: Environment, query: str) -> None:
    refused = Counted("terminal_sockets_total", kind="environments", result="authentication_failed")
    async with at(query, token="") as socket:
        assert await socket.until_closed() == REFUSED
        assert [(frame["type"], frame["code"]) for frame in socket.sent] == [("error", "authentication_failed")]
    assert refused() == 1


async def test_a_guest_link_opens_no_list(at: Any, ann: SignIn, home: Environment) -> None:
    _, token = await database_sync_to_async(share_create)(
        environment=home, owner=ann.user, mode=Mode.WRITE, expires_in_s=3600, session=None
    )
    for way in ({"query": f"share={token}"}, {"subprotocols": ["share", token]}, {"query": f"token={token}"}):
        async with at(token="", **way) as socket:
            assert await socket.until_closed() == REFUSED


async def test_browsers_come_from_allowed_origins_only(at: Any, settings: Any) -> None:
    settings.WS_ALLOWED_ORIGINS = ["https://app.example.org"]
    async with at(headers=[(b"origin", b"https://evil.example")]) as socket:
        assert await socket.until_closed() == REFUSED
    async with at(headers=[(b"origin", b"https://app.example.org")]) as socket:
        await socket.until_sent(type="welcome")


async def test_it_has_places_of_its_own(at: Any, ann: SignIn, ben: SignIn, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    assert all(slots.slot_take(str(ann.user.pk), f"terminal {number}") for number in range(2))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            socket = await stack.enter_async_context(at())
            await socket.until_sent(type="welcome")
        async with at() as socket:
            assert await socket.until_closed() == (1008, "Too many connections")
            assert [frame["code"] for frame in socket.sent] == ["too_many_connections"]
        async with at(token=ben.tokens.access) as socket:
            await socket.until_sent(type="welcome")
        for number in range(2):
            slots.slot_free(f"terminal {number}")
        assert all(slots.slot_take(str(ann.user.pk), f"terminal {number}") for number in range(2))  # none of theirs
        for number in range(2):
            slots.slot_free(f"terminal {number}")
    async with at() as socket:
        await socket.until_sent(type="welcome")


@pytest.mark.parametrize("is_stalled", [False, True])
@pytest.mark.parametrize("lost", [False, True], ids=["nudged", "nudge lost"])
async def test_a_revoked_sign_in_ends_it(
    at: Any, ann: SignIn, home: Environment, is_stalled: bool, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terminals.socket_life.FINISH_LIMIT_S", 0.1)
    if lost:
        monkeypatch.setattr(slots, "RENEW_S", 0.1)
        monkeypatch.setattr(EnvironmentsConsumer, "session_revoked", lambda socket, event: None)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        if is_stalled:
            socket.stall()
            await change(home, name="Renamed")
            await nudge(home)
        await database_sync_to_async(session_logout)(session=ann.session)
        if is_stalled:
            async with asyncio.timeout(WAIT_S):
                await socket.until_ended()
            assert socket.code is None  # nothing could be told: the server hangs up
        else:
            assert await socket.until_closed() == (1008, "Session revoked")
            assert socket.sent[-1]["code"] == "session_revoked"


async def test_one_that_is_revoked_while_it_is_let_in(at: Any, ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    slot_take = slots.slot_take

    def slowly(*arguments: Any) -> Any:
        session_logout(session=ann.session)
        return slot_take(*arguments)

    monkeypatch.setattr(slots, "slot_take", slowly)
    async with at() as socket:
        assert await socket.until_closed() == (1008, "Session revoked")
        assert socket.types == ["welcome", "error"]


async def test_a_user_who_is_disabled_is_cut_off(at: Any, ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "RENEW_S", 0.05)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await database_sync_to_async(User.objects.filter(pk=ann.user.pk).update)(is_active=False)
        assert await socket.until_closed() == (1008, "Session revoked")


@pytest.mark.parametrize("error", [CacheAway(), OperationalError("gone")])
async def test_without_its_stores_it_is_to_come_again(
    at: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(environments_consumer, "look_at_all", away)
    async with at() as socket:
        assert await socket.until_closed() == (1013, "try again later")
        assert [(frame["code"], frame["retry_after"]) for frame in socket.sent] == [("service_unavailable", 5)]


async def test_a_database_away_for_a_moment_ends_nothing(
    at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, failures = environments_consumer.look_at_all, []

    def flaky(*arguments: Any, **options: Any) -> Any:
        if not failures:
            failures.append("gone")
            raise OperationalError
        return look(*arguments, **options)

    async with at() as socket:
        await socket.until_sent(type="welcome")
        monkeypatch.setattr(environments_consumer, "look_at_all", flaky)
        await change(home, name="Renamed")
        await nudge(home)
        await eventually(lambda: bool(failures))
        await nudge(home)
        await socket.until_told(name="Renamed")


async def test_what_a_client_may_say(at: Any) -> None:
    async with at() as socket:
        socket.say(type="ping")
        await socket.until_sent(type="pong")
        assert socket.types == ["welcome", "pong"]
        socket.say(type="input", data="x")
        await socket.until_sent(code="unknown_type")
        socket.say_bytes(b"nonsense")
        await socket.until_sent(code="invalid_message")
        for _ in range(110):
            socket.say(type="ping")
        await socket.until_sent(code="rate_limited")
        assert socket.types.count("pong") <= 100


@pytest.mark.parametrize("path", ["environments/x", "environments/x/", "environment"])
async def test_beside_it_there_is_nothing(layer: Any, ann: SignIn, path: str) -> None:
    socket = ListSocket(ann.tokens.access)
    socket.scope["path"] = f"/api/v1/ws/{path}"
    async with socket.served():
        assert await socket.until_closed() == (1008, "Not found")
