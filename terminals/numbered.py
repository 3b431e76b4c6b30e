"""Input that the client numbers: applied once, in order, over cut connections and from one process to the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from channels.db import database_sync_to_async
from redis.exceptions import RedisError

from devpocket.cache import AWAY_S
from devpocket.nudges import environment_group
from terminals import frames
from terminals.inputs import Applied, applied_store, find_applied
from terminals.lifespan import hub
from terminals.stream import Place, Stream

if TYPE_CHECKING:
    from terminals.environment_socket import EnvironmentSocket

log = structlog.get_logger(__name__)

TAKE_OVER_LIMIT_S = 1.0  # for another process to say that it applies no more
TAKE_OVER_LOOK_S = 0.05
FINAL_TRIES = 4  # half of AWAY_S apart: a cache that is asked no more for a second is outlived


class NumberedInput:
    """One socket's. `seq`: the client's number for what was applied last; it goes from a stream to the next."""

    __slots__ = ("_missed", "_news", "_socket", "_stream", "seq")

    def __init__(self, socket: EnvironmentSocket) -> None:
        self._socket = socket
        self.seq = 0
        self._missed = 0  # the first number that could not be applied, until it comes again
        self._stream: Stream | None = None
        self._news: asyncio.Event | None = None  # few clients number their input

    def is_new(self, seq: int) -> bool:
        """Whether to apply it. What was applied before is only acknowledged again.

        Nor is what comes after one that could not be applied: it would be out of order, and its number speak for both.
        """
        if not seq:
            return True
        if seq <= self.seq:
            self._acknowledge()
            return False
        if self._missed and seq > self._missed:
            return False
        self._missed = 0
        return True

    def missed(self, seq: int) -> None:
        """There was no shell to apply it to."""
        self._missed = self._missed or seq

    def applied(self, stream: Stream, seq: int) -> None:
        if seq:
            self.seq = stream.input_seq = seq
            self._acknowledge()

    async def go_on(self, stream: Stream) -> None:
        """With another stream, or the one that the client has come back to; noted before anything is applied to it."""
        self.seq = stream.input_seq = max(self.seq, stream.input_seq)
        self._stream = stream
        await self._store(is_final=False)

    async def take_over(self, stream_id: str, place: Place) -> None:
        """From a stream that can't be gone on with here. Whoever else has it stops first, and says where.

        Raises: CacheAway. Without the cache nobody knows what was applied.
        """
        if (stream := hub.find(stream_id)) is not None and stream.place == place:
            self.seq = stream.input_seq
            hub.replace(stream)
            return
        channel_layer = self._socket.channel_layer
        moved = {"type": "stream.moved", "stream": stream_id}
        with suppress(OSError, RedisError):
            await channel_layer.group_send(environment_group(place.environment_id), moved)
        applied = await database_sync_to_async(find_applied)(stream_id, place)
        give_up_at = asyncio.get_running_loop().time() + TAKE_OVER_LIMIT_S
        while applied is not None and not applied.is_final and asyncio.get_running_loop().time() < give_up_at:
            await asyncio.sleep(TAKE_OVER_LOOK_S)
            applied = await database_sync_to_async(find_applied)(stream_id, place)
        self.seq = applied.seq if applied is not None else 0

    def _acknowledge(self) -> None:
        if self._news is None:
            self._news = asyncio.Event()
            self._socket.start(self._keep_acknowledging, self._news, name="acks")
        self._news.set()

    async def _keep_acknowledging(self, news: asyncio.Event) -> None:
        """What is acknowledged is stored before, so that no other process applies it again. Many at once are one.

        While the cache is away it is acknowledged all the same, and again when it could be stored.
        """
        while True:
            await news.wait()
            news.clear()
            seq = self.seq
            is_stored = await self._store(is_final=False)
            await self._socket.tell(frames.ack(seq))
            if not is_stored:
                await asyncio.sleep(AWAY_S)
                news.set()

    async def _store(self, *, is_final: bool) -> bool:
        """Whether there is nothing left to store."""
        if self._stream is None or not self._stream.input_seq:
            return True
        applied = Applied(self._stream.input_seq, is_final)  # another socket of this process may be further
        try:
            await database_sync_to_async(applied_store)(self._stream.id, self._stream.place, applied)
        except Exception as error:  # noqa: BLE001 -- whatever it is, typing goes on without it
            log.warning("terminal_input_not_stored", error=type(error).__name__)
            return False
        return True

    async def aclose(self) -> None:
        """Nothing more is applied by this socket. Where another of this process has the stream now, that goes on."""
        if self._stream is not None and self._stream.viewer is None:
            for _ in range(FINAL_TRIES):
                if await self._store(is_final=True):
                    break
                await asyncio.sleep(AWAY_S / 2)
        self._stream = None
