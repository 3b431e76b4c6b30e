"""The channel layer's connection to Redis, which can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError


class CancellableConnection(Connection):
    """redis-py sends within `asyncio.wait_for`, which up to Python 3.11 swallows a cancellation that comes as the
    sending ends (python/cpython#86296). A consumer that is told to end then waits for nudges for ever, and holds its
    slot and groups.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- for mypy; every coroutine runs in one
        cancelled_before = task.cancelling()  # clean-up after a cancellation sends commands, too
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:  # what uvloop says where the connection has just been closed
            await self.disconnect(nowait=True)
            raise RedisConnectionError(str(error)) from error
        if task.cancelling() > cancelled_before:
            await self.disconnect(nowait=True)  # nobody will read the answer
            raise asyncio.CancelledError
