"""What is logged of a WebSocket: who opened it, how it ended, how much went over it, and nothing of what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from accounts.services import SignIn
from environments.models import Environment
from environments.tests.sshd import Machine
from terminals.tests.consumer.served import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in events if line["event"] == event]


async def test_its_beginning_and_its_end(
    at: Any, ann: SignIn, home: Environment, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    async with at(headers=[(b"x-request-id", b"mine-1")]) as socket:
        socket.say(type="input", data="typed-by-ann\n")
        await socket.until_sent(type="output", data="typed-by-ann\n")
        socket.vanish()
        async with asyncio.timeout(WAIT_S):
            await socket.until_ended()
    whose = {"request_id": "mine-1", "user_id": str(ann.user.pk), "environment_id": str(home.pk), "kind": "terminal"}
    [opened] = lines(caplog, "socket_opened")
    [closed] = lines(caplog, "socket_closed")
    [terminal] = lines(caplog, "terminal_opened")
    assert (whose | {"mode": "write", "path": f"/api/v1/ws/terminal/{home.pk}"}).items() <= opened.items()
    assert (whose | {"close_code": 1006}).items() <= closed.items()
    assert {name: whose[name] for name in ("request_id", "user_id", "environment_id")}.items() <= terminal.items()
    assert closed["bytes_in"] == len('{"type": "input", "data": "typed-by-ann\\n"}')
    assert closed["bytes_out"] > len("typed-by-ann")
    assert "typed-by-ann" not in caplog.text
    assert ann.tokens.access not in caplog.text


async def test_one_that_is_refused_was_never_opened(
    at: Any, home: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    async with at(token="a.b.c") as socket:
        await socket.until_closed()
    [closed] = lines(caplog, "socket_closed")
    assert (closed["close_code"], closed["reason"]) == (1008, "Authentication failed")
    assert "user_id" not in closed
    assert lines(caplog, "socket_opened") == []


async def test_lines_of_what_two_share_are_neithers(
    at: Any, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncssh goes on in the context that it was dialled in."""
    async with at() as socket:
        await socket.until_sent(type="welcome")
        caplog.clear()
        machine.break_connections()
        await socket.until_sent(code="reattached")
    told = [record for record in caplog.records if record.name.startswith("asyncssh")]
    assert not [record for record in told if isinstance(record.msg, dict) and "user_id" in record.msg]
