"""A client that is gone without a word is closed with 1001 (contract 9.6), and nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.endurance.garbage import PONG, RawSocket, frame
from terminals.tests.endurance.traveller import Traveller
from terminals.tests.endurance.world import port_of
from terminals.tests.homes import Home, settled

LIMIT_S = 30


@pytest.fixture(scope="module")
def impatient(localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Home]]:
    """A server that asks every 0.3 s, and waits for 0.6 s."""
    directory = tmp_path_factory.mktemp("impatient")
    with Server.start(localcloud.client_url, directory, WS_PING_SECONDS="0.3", WS_PONG_SECONDS="0.6") as server:
        yield server, asyncio.run(settled(server))


@pytest.fixture
async def socket(impatient: tuple[Server, Home]) -> AsyncIterator[RawSocket]:
    server, home = impatient
    target = f"/api/v1/ws/terminal/{home.environment_id}?token={home.token}"
    async with asyncio.timeout(LIMIT_S), RawSocket.at(port_of(server), target.encode()) as raw:
        await raw.until_told(type="welcome")
        yield raw


async def test_one_that_answers_no_ping_is_closed(socket: RawSocket) -> None:
    await socket.until_closed()
    assert socket.code == 1001
    assert [told["type"] for told in socket.told if told["type"] in ("error", "info")] == []


async def test_one_that_answers_stays(socket: RawSocket) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < 2:
        assert await socket.read()
        if socket.pinged is not None:
            socket.writer.write(frame(PONG, socket.pinged))
            socket.pinged = None
    assert socket.code is None


async def test_nothing_is_kept_of_those_who_take_nothing(
    impatient: tuple[Server, Home],
) -> None:
    """Their systems still answer, so that the kernel would keep what is under way to them for ever."""
    server, home = impatient
    process = psutil.Process(server.process.pid)

    def count() -> int:
        return sum(one.laddr.port == port_of(server) for one in process.net_connections("tcp") if one.raddr)

    def fate() -> Fate:
        return Fate(port_of(server), down_bytes=300_000, server_is_told=False, swallows=False)

    async with CuttingProxy.start(fate) as proxy, asyncio.timeout(LIMIT_S):
        client = Traveller(proxy.ws_url, home.environment_id, home.token, "tmux=0", is_compressed=False)
        async with client.travelling():
            client.type("yes\r")
            await client.until(lambda: proxy.cuts >= 3)
        while count():  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.1)
