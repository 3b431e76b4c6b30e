"""What consumers wait for at the channel layer can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from devpocket.redis_connection import CancellableConnection


@asynccontextmanager
async def connected() -> AsyncIterator[CancellableConnection]:
    """One to somebody who listens and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        connection = CancellableConnection(  # which asks nothing when it connects
            host="127.0.0.1", port=port, socket_timeout=30, protocol=2, driver_info=None
        )
        await connection.connect()
        yield connection
        await connection.disconnect()


@pytest.fixture
async def connection() -> AsyncIterator[CancellableConnection]:
    async with connected() as connection:
        yield connection


@pytest.mark.parametrize("turns", range(8))
async def test_a_command_can_be_cancelled_at_any_moment(connection: CancellableConnection, turns: int) -> None:
    """Sending takes fewer turns of the event loop than that; in one of them Python 3.11 would lose it."""

    async def ask() -> None:
        await connection.send_command("PING")
        await asyncio.Event().wait()  # for the answer

    asking = asyncio.create_task(ask())
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    done, _ = await asyncio.wait({asking}, timeout=5)
    asking.cancel()
    assert done == {asking}


async def test_what_is_cancelled_can_still_clean_up(connection: CancellableConnection) -> None:
    left = False

    async def stay() -> None:
        nonlocal left
        try:
            await asyncio.Event().wait()
        finally:
            await connection.send_command("PING")
            left = True

    staying = asyncio.create_task(stay())
    await asyncio.sleep(0)
    staying.cancel()
    await asyncio.wait({staying}, timeout=5)
    assert left


def test_one_that_was_closed_a_moment_ago_is_lost_as_any_other() -> None:
    """The servers' event loop says that in an error of its own kind."""

    async def ask() -> None:
        async with connected() as connection:
            assert connection._writer is not None
            connection._writer.transport.abort()
            with pytest.raises(RedisConnectionError):
                await connection.send_command("PING")
            assert not connection.is_connected

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
