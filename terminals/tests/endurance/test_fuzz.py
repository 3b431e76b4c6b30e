"""The short form of the fuzz test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

import asyncio
import random

import pytest

from devpocket.testing.server import Server
from terminals.tests.endurance.fuzz import LIMIT_S, run
from terminals.tests.endurance.garbage import CLOSE, EDGE, TEXT, RawSocket, compressed, frame
from terminals.tests.endurance.world import forget_peak, peak_mib, port_of
from terminals.tests.homes import Home


def target(home: Home, query: str) -> bytes:
    return f"/api/v1/ws/terminal/{home.environment_id}?token={home.token}&{query}".encode()


async def test_no_garbage_harms_the_server(server: Server, home: Home) -> None:
    outcome = await run(server, home, frames=1500, rng=random.Random(6))
    assert outcome.sockets > 20
    assert {1000, 1002, 1008} <= set(outcome.codes)
    assert outcome.is_good, str(outcome)


async def test_who_sends_too_much_reads_so(server: Server, home: Home) -> None:
    """Although all of it is still on its way."""
    async with asyncio.timeout(LIMIT_S), RawSocket.at(port_of(server), target(home, "session=fuzz")) as socket:
        await socket.until_told(type="welcome")
        socket.writer.write(frame(TEXT, b"x" * (8 * 2**20)))
        await socket.writer.drain()
        await socket.until_closed()
    assert socket.code == 1009


@pytest.mark.parametrize("rest", [b"", frame(TEXT, b'{"type":"ping"}') * 3], ids=["alone", "with more"])
async def test_text_that_is_none_is_told_and_logged_as_nothing_of_ours(server: Server, home: Home, rest: bytes) -> None:
    async with asyncio.timeout(LIMIT_S), RawSocket.at(port_of(server), target(home, "session=fuzz")) as socket:
        await socket.until_told(type="welcome")
        socket.writer.write(frame(TEXT, b'{"type":"input","data":"\xff"}') + rest)
        await socket.until_closed()
    assert socket.code == 1007
    assert "Traceback" not in server.process.output()


async def test_compressed_messages_are_not_all_unpacked_at_once(server: Server, home: Home) -> None:
    """Half a megabyte on the wire, 256 MiB unpacked."""
    extension = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
    message = compressed(b'{"type":"ping"}' + b" " * (EDGE - 100))
    where = (port_of(server), target(home, "session=fuzz"))
    async with asyncio.timeout(LIMIT_S), RawSocket.at(*where, extensions=extension) as socket:
        forget_peak(server)
        before_mib = peak_mib(server)
        reading = asyncio.ensure_future(socket.until_closed())
        socket.writer.write(message * 4096 + frame(CLOSE, b"\x03\xe8"))
        await reading
    assert socket.code == 1000
    assert peak_mib(server) - before_mib < 16
