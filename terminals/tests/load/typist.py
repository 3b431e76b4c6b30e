"""Open terminals at which somebody types: a letter a second into bash, whose echo is waited for."""

from __future__ import annotations

import asyncio
import itertools
import random
import string
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidState

from terminals.tests.load.websocket import WebSocket

NOT_OPENED = (OSError, EOFError, TimeoutError, InvalidHandshake, InvalidMessage)
ECHO_LIMIT_S = 20.0
LINE = 30  # letters, after which the line is wiped
PING_EVERY_S = 30.0  # as the phone does
RETRY_S = (0.1, 0.5)
RECEIVED_MAX = 16 * 1024  # characters kept to look for the screen in


@dataclass
class Tally:
    """What all typists have seen. Echoes in seconds, each with when its key was pressed (time.monotonic)."""

    echo_s: array[float] = field(default_factory=lambda: array("d"))
    echo_at: array[float] = field(default_factory=lambda: array("d"))
    lost: int = 0  # screens that went away with a connection
    back_s: list[float] = field(default_factory=list)  # until one was there again, over however many connections
    closes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    open: int = 0


class Typist:
    """One of them. `run` connects, again whenever the connection is lost, and types until it is cancelled."""

    def __init__(self, ws_url: str, environment_id: str, token: str, query: str, tally: Tally) -> None:
        self._address = f"{ws_url}/api/v1/ws/terminal/{environment_id}?token={token}&{query}"
        self._tally = tally
        self._name = f"mark-{random.randrange(10**9)}"
        self._line = ""  # what is typed since the line was wiped
        self._point: dict[str, Any] | None = None
        self._received = ""
        self._waiting_for = ""  # the letter pressed last, until its echo comes
        self._doubtful = ""  # a letter that was on its way when the connection was lost
        self._pressed_at = 0.0
        self._lost_at: float | None = None
        self._is_attached = False
        self._news = asyncio.Event()
        self.is_settled = asyncio.Event()  # its screen is there, and it types

    async def run(self) -> None:
        while True:
            try:
                await self._visit()
            except NOT_OPENED as error:
                self._tally.closes[type(error).__name__] += 1
            await asyncio.sleep(random.uniform(*RETRY_S))

    async def _visit(self) -> None:
        resume = "" if self._point is None else f"&stream={self._point['id']}&offset={self._point['offset']}"
        socket = await WebSocket.open(self._address + resume, self._take)
        typing = asyncio.create_task(self._type(socket))
        self._tally.open += 1
        try:
            await socket.closed.wait()
            self._tally.closes[socket.ending] += 1
            if self._lost_at is None and self.is_settled.is_set():
                self._lost_at = time.monotonic()
                self._tally.lost += 1
        finally:
            self._tally.open -= 1
            self._is_attached = False
            self._doubtful, self._waiting_for = self._waiting_for or self._doubtful, ""
            typing.cancel()
            socket.close()
            await asyncio.gather(typing, return_exceptions=True)

    # --- In

    def _take(self, text: bytes) -> None:
        frame: dict[str, Any] = orjson.loads(text)
        kind = frame["type"]
        if kind == "output":
            if self._point is not None:
                self._point["offset"] = frame["offset"]
            self._show(frame["data"])
        elif kind == "error":
            self._tally.refused[frame["code"]] += 1
        elif frame.get("stream"):
            is_same = self._point is not None and self._point["id"] == frame["stream"]["id"]
            if not is_same:
                self._received = ""  # drawn anew
            self._point, self._is_attached = dict(frame["stream"]), True
            self._news.set()

    def _show(self, data: str) -> None:
        if self._waiting_for and self._waiting_for in data:
            now = time.monotonic()
            self._tally.echo_s.append(now - self._pressed_at)
            self._tally.echo_at.append(self._pressed_at)
            self._line += self._waiting_for
            self._waiting_for = ""
        self._received = (self._received + data)[-RECEIVED_MAX:]
        self._news.set()

    # --- Out

    async def _type(self, socket: WebSocket) -> None:
        try:
            await self._until(lambda: self._is_attached)
            if self.is_settled.is_set():
                await self._come_back()
            else:
                self._send(socket, f"PS1='$ '; clear; echo {self._name[:5]}\"{self._name[5:]}\"\r")
                await self._until(lambda: self._name in self._received)
                self.is_settled.set()
            await self._keep_typing(socket)
        except TimeoutError:
            at = f"{datetime.now(UTC):%H:%M:%S} {self._name}"
            self._tally.failures.append(f"{at}: waits for {self._waiting_for!r} in {self._received[-200:]!r}")
            socket.close()
        except InvalidState:
            pass  # it is closing

    async def _come_back(self) -> None:
        """The screen is as it was: the mark on its first line, what was typed on the second.

        The letter that was on its way may have arrived or not; it has no number, as the phone's have none.
        """
        assert self._lost_at is not None
        await self._until(lambda: self._name in self._received and self._line in self._received)
        self._tally.back_s.append(time.monotonic() - self._lost_at)
        if self._line + self._doubtful in self._received:
            self._line += self._doubtful
        self._doubtful, self._lost_at = "", None

    async def _keep_typing(self, socket: WebSocket) -> None:
        began, pinged_at = time.monotonic(), time.monotonic()
        offset = random.random()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + offset + number - time.monotonic()))
            if self._waiting_for:  # only now: being woken by each echo would cost the most of all
                await self._until(lambda: not self._waiting_for)
            if len(self._line) >= LINE:
                self._line, self._received = "", self._name
                self._send(socket, "\x15")
                continue
            self._waiting_for = string.ascii_lowercase[len(self._line) % 26]
            self._pressed_at = time.monotonic()
            self._send(socket, self._waiting_for)
            if time.monotonic() - pinged_at > PING_EVERY_S:
                pinged_at = time.monotonic()
                socket.send(b'{"type":"ping"}')

    def _send(self, socket: WebSocket, data: str) -> None:
        socket.send(orjson.dumps({"type": "input", "data": data}))

    async def _until(self, holds: Any) -> None:
        async with asyncio.timeout(ECHO_LIMIT_S):
            while not holds():
                self._news.clear()
                await self._news.wait()
