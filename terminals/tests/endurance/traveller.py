"""A client on a bad network, as docs/websocket-protocol.md wants it: it counts what it has, numbers what it types, and
comes back.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from devpocket.tasks import TaskOwner

BINARY = "devpocket.v1.binary"
LOST = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage)
RETRY_S = 0.05
HANDSHAKE_LIMIT_S = 5
LOOK_S = 0.1
LEFT_OUT_MAX_BYTES = 200  # tmux asks the terminal a few questions when it attaches, which are not repeated


class Broken(AssertionError):
    """The server said something that can't be."""


class Traveller:
    """`received`: the bytes of its stream since `begin_anew`. `told`: counts of what happened, by name.

    `away_s` is asked how long to stay away after each lost connection.
    """

    def __init__(
        self,
        ws_url: str,
        environment_id: str,
        token: str,
        query: str = "",
        *,
        is_binary: bool = False,
        is_compressed: bool = True,
        away_s: Callable[[], float] = lambda: RETRY_S,
    ) -> None:
        self.ws_url, self.environment_id, self.token, self.query = ws_url, environment_id, token, query
        self.is_binary, self.is_compressed, self.away_s = is_binary, is_compressed, away_s
        self.point: dict[str, Any] | None = None
        self.received = bytearray()
        self.told: Counter[str] = Counter()
        self.acknowledged = self.seq = 0
        self.connection: ClientConnection | None = None
        self._unacknowledged: deque[tuple[int, str]] = deque()
        self._sent_seq = 0
        self._is_ready = False  # what is typed now is taken
        self._to_send = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks = TaskOwner()
        self._failure: BaseException | None = None

    @asynccontextmanager
    async def travelling(self) -> AsyncIterator[Traveller]:
        """Connect, and again whenever the connection is lost, until the context ends."""
        self._tasks.start(self._travel(), name="travel")
        try:
            yield self
        finally:
            await self._tasks.aclose()

    async def until(self, holds: Callable[[], bool], *, limit_s: float = 20) -> None:
        """Wait until it holds: it is looked at after each frame, and every LOOK_S. Raises: Broken."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + limit_s
        while not holds():
            if self._failure is not None:
                raise self._failure
            if loop.time() > give_up_at:
                raise Broken(f"{self.query}, {self.point}, {dict(self.told)}, {bytes(self.received[-500:])!r}")
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()

    async def until_shown(self, text: str, *, limit_s: float = 20) -> None:
        """Wait for it among what was received."""
        wanted = text.encode()
        await self.until(lambda: wanted in self.received, limit_s=limit_s)

    def type(self, text: str) -> None:
        """Numbered input; sent again until it is acknowledged."""
        self.seq += 1
        self._unacknowledged.append((self.seq, text))
        self._to_send.set()

    @property
    def unacknowledged(self) -> int:
        return len(self._unacknowledged)

    async def _travel(self) -> None:
        try:
            while True:
                try:
                    await self._visit()
                except LOST as error:
                    self.told[type(error).__name__] += 1
                self.connection, self._is_ready = None, False
                await asyncio.sleep(self.away_s())
        except BaseException as error:
            self._failure = error
            self._news.set()
            if not isinstance(error, Broken):
                raise

    async def _visit(self) -> None:
        resume = "" if self.point is None else f"&stream={self.point['id']}&offset={self.point['offset']}"
        address = f"{self.ws_url}/api/v1/ws/terminal/{self.environment_id}?token={self.token}&{self.query}{resume}"
        async with connect(
            address,
            max_size=None,
            proxy=None,
            open_timeout=HANDSHAKE_LIMIT_S,
            close_timeout=1,
            subprotocols=[BINARY] if self.is_binary else None,  # type: ignore[list-item]
            compression="deflate" if self.is_compressed else None,
        ) as connection:
            self.connection = connection
            sending = TaskOwner()
            sending.start(self._send(connection), name="send")
            try:
                async for message in connection:
                    self._take(message)
                    self._news.set()
            finally:
                await sending.aclose()

    async def _send(self, connection: ClientConnection) -> None:
        try:
            while True:
                self._to_send.clear()
                for seq, text in list(self._unacknowledged):
                    if self._is_ready and seq > self._sent_seq:
                        self._sent_seq = seq
                        await connection.send(json.dumps({"type": "input", "data": text, "seq": seq}))
                await self._to_send.wait()
        except ConnectionClosed:
            pass

    # --- What the server says

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if not self.is_binary or self.point is None:
                raise Broken("a binary frame for one who has not asked for it, or before the welcome")
            self.received += message
            self.point["offset"] += len(message)
            return
        frame = json.loads(message)
        take = getattr(self, f"_take_{frame['type']}", None)
        if take is not None:
            take(frame)

    def _take_welcome(self, frame: dict[str, Any]) -> None:
        self.told["welcome"] += 1
        if frame["stream"] is None:
            self.told["late"] += 1
            return
        if self.point is not None and frame["stream"]["id"] == self.point["id"]:
            self.told["resumed"] += 1
            if frame["stream"] != self.point:
                raise Broken(f"goes on at {frame['stream']} instead of {self.point}; {dict(self.told)}")
            self._go_on(frame)
        elif self.point is None:
            self._go_on(frame)
        # Else `reattached` follows, whose word counts.

    def _take_info(self, frame: dict[str, Any]) -> None:
        self.told[frame["code"]] += 1
        if frame["code"] == "reattached":
            self._go_on(frame)
        elif frame["code"] in ("lost_output", "left_out"):
            self.point = dict(frame["stream"])

    def _go_on(self, frame: dict[str, Any]) -> None:
        """With a stream, from where it says; input after what was applied is sent again."""
        if self.point is None or frame["stream"]["id"] != self.point["id"]:
            self.begin_anew()
        self.point = dict(frame["stream"])
        self._acknowledge(frame["input_seq"])
        self._sent_seq, self._is_ready = self.acknowledged, True
        self._to_send.set()

    def begin_anew(self) -> None:
        self.received.clear()

    def _take_ack(self, frame: dict[str, Any]) -> None:
        self._acknowledge(frame["seq"])

    def _acknowledge(self, seq: int) -> None:
        if seq > self.seq:
            raise Broken(f"{seq} was never said; the last was {self.seq}")
        if seq < self.acknowledged:
            self.told["acknowledged_less"] += 1
        self.acknowledged = max(seq, self.acknowledged)
        while self._unacknowledged and self._unacknowledged[0][0] <= seq:
            self._unacknowledged.popleft()

    def _take_output(self, frame: dict[str, Any]) -> None:
        data = frame["data"].encode()
        if self.point is None:
            raise Broken("output before the welcome")
        jump = frame["offset"] - self.point["offset"] - len(data)
        if jump and ("tmux=0" in self.query or not 0 < jump <= LEFT_OUT_MAX_BYTES):
            raise Broken(f"{len(data)} bytes after {self.point['offset']} end at {frame['offset']}")
        self.received += data
        self.point["offset"] = frame["offset"]

    def _take_error(self, frame: dict[str, Any]) -> None:
        self.told[frame["code"]] += 1
