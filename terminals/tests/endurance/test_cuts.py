"""The short form of the resume test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from devpocket.testing.server import Server
from terminals.tests.endurance.cuts import run
from terminals.tests.homes import Home, act, settled
from terminals.tests.phone import WAIT_S, Phone


@pytest.mark.timeout(120)
async def test_cut_connections_lose_and_double_nothing(server: Server, tmp_path: Path) -> None:
    """Of a user of its own: sockets of which the server isn't told that they were cut stay open for a while."""
    home = await settled(server)
    outcome = await run([server], home, tmp_path, cuts=12, lines=150, rng=random.Random(6))
    assert outcome.cuts >= 12
    assert outcome.is_good, str(outcome)
    assert "Traceback" not in server.process.output()
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def test_all_shells_that_are_lost_at_once_come_back(server: Server) -> None:
    """As many as a user may have, without tmux: a phone that loses its network loses it in all of them."""
    home = await settled(server)
    async with AsyncExitStack() as stack:
        phones = [
            await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token, "tmux=0"))
            for _ in range(10)
        ]
        for phone in phones:
            phone.vanish()
    async with AsyncExitStack() as stack:
        for point in [phone.stream for phone in phones]:
            query = f"tmux=0&stream={point['id']}&offset={point['offset']}"
            back = await _admitted(stack, server, home, query)
            assert back.welcome["stream"] == point
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def _admitted(stack: AsyncExitStack, server: Server, home: Home, query: str) -> Phone:
    """Once the server has noticed that enough of the others are gone."""
    async with asyncio.timeout(WAIT_S):
        while True:
            phone = await stack.enter_async_context(
                Phone.at(server, home.environment_id, f"token={home.token}&{query}")
            )
            phone.welcome = await phone.next()
            if phone.welcome.get("code") != "too_many_connections":
                return phone
