"""Who may watch the logs, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async

from accounts.services import SignIn, session_logout
from environments import log_follower
from environments.lifecycle import Phase
from environments.models import Environment
from terminals import slots
from terminals.tests.consumer.logs.watching import LogsSocket, texts, write
from terminals.tests.consumer.served import WAIT_S, act, change
from terminals.tests.consumer.test_activity import last_activity

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.TERMINATED])
async def test_it_works_in_every_phase(at: Any, home: Environment, phase: Phase) -> None:
    await change(home, phase=phase)
    async with at("follow=false") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert socket.sent[0]["environment"]["phase"] == phase
        assert bool(texts(socket)) == (phase in log_follower.HAS_LOGS)


async def test_what_is_deleted_has_none(at: Any, home: Environment) -> None:
    await change(home, phase=Phase.TERMINATED)
    async with at() as socket:
        assert await socket.until_closed() == (1008, "Environment not found")
        assert [frame["code"] for frame in socket.sent] == ["environment_not_found"]


async def test_deleting_ends_it(at: Any, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await act(home, "stop")
        await socket.until_sent(type="status_update", status="stopping")
        assert socket.code is None
        await act(home, "delete")
        assert await socket.until_closed() == (1008, "Environment not running")
        assert (socket.sent[-1]["type"], socket.sent[-1]["status"]) == ("status_update", "terminated")


async def test_only_its_owner_may(at: Any, home: Environment, ben: SignIn) -> None:
    for token, code, reason in (
        (ben.tokens.access, "environment_not_found", "Environment not found"),
        ("nonsense", "authentication_failed", "Authentication failed"),
        ("", "authentication_failed", "Authentication failed"),
    ):
        async with LogsSocket(home, token).served() as socket:
            assert await socket.until_closed() == (1008, reason)
            assert [frame["code"] for frame in socket.sent] == [code]


async def test_browsers_come_from_allowed_origins_only(at: Any, settings: Any) -> None:
    settings.WS_ALLOWED_ORIGINS = ["https://app.example.org"]
    async with at(headers=[(b"origin", b"https://evil.example")]) as socket:
        assert await socket.until_closed() == (1008, "Authentication failed")
    async with at(headers=[(b"origin", b"https://app.example.org")]) as socket:
        await socket.until_sent(type="welcome")


async def test_connections_are_counted_with_the_terminals(at: Any, ann: SignIn, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    assert slots.slot_take(str(ann.user.pk), "a terminal")
    async with at() as first:
        await first.until_sent(type="welcome")
        async with at() as second:
            assert await second.until_closed() == (1008, "Too many connections")
    slots.slot_free("a terminal")


@pytest.mark.parametrize("is_stalled", [False, True])
async def test_a_revoked_sign_in_ends_it(
    at: Any, ann: SignIn, is_stalled: bool, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terminals.socket_life.FINISH_LIMIT_S", 0.1)
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        if is_stalled:
            socket.stall()
            write(disk / "var/log/devpocket/app.log", "x\n" * 2000)
        await database_sync_to_async(session_logout)(session=ann.session)
        if is_stalled:
            async with asyncio.timeout(WAIT_S):
                await socket.until_ended()
            assert socket.code is None  # nothing could be told: the server hangs up
        else:
            assert await socket.until_closed() == (1008, "Session revoked")
            assert socket.sent[-1]["code"] == "session_revoked"


@pytest.mark.parametrize(("query", "counts"), [("", True), ("follow=false", False)])
async def test_watching_a_running_machine_is_use_of_it(at: Any, home: Environment, query: str, counts: bool) -> None:
    async with at(query) as socket:
        await socket.until_sent(type="installation_complete")
        if counts:
            async with asyncio.timeout(WAIT_S):
                while await last_activity(home) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        else:
            await socket.until_closed()
            await socket.until_ended()
            assert await last_activity(home) is None
