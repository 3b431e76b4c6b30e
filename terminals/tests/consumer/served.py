"""The server's side of a WebSocket, and what happens to the environment behind it meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from channels.db import database_sync_to_async

from environments.models import Environment
from environments.services import environment_act
from terminals.routing import websocket_application

WAIT_S = 5
Frame = dict[str, Any]


class Gone(OSError):
    """What uvicorn raises for sending to a client that is gone."""


class Socket:
    """The server's side of a WebSocket as uvicorn would be: `sent` is what the client would get.

    `stall` makes sending wait, as for a client that reads nothing, until `go_on`; `vanish` makes it fail.
    """

    def __init__(
        self, environment_id: object, token: str, query: str = "", headers: Any = (), subprotocols: Any = ()
    ) -> None:
        self.scope = {
            "type": "websocket",
            "path": f"/api/v1/ws/terminal/{environment_id}",
            "query_string": f"token={token}&{query}".encode() if token else query.encode(),
            "headers": list(headers),
            "subprotocols": list(subprotocols),
        }
        self.sent: list[Frame] = []
        self.data = b""  # of binary frames
        self.subprotocol: str | None = None
        self.code: int | None = None
        self.reason = ""
        self.asked_for = 0  # messages the consumer has asked for
        self._inbox: asyncio.Queue[Frame] = asyncio.Queue()
        self._news = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_gone = False
        self._inbox.put_nowait({"type": "websocket.connect"})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Socket]:
        self.task = asyncio.create_task(websocket_application(self.scope, self._receive, self._send))
        try:
            yield self
        finally:
            self.vanish()
            async with asyncio.timeout(WAIT_S):
                await self.until_ended()

    async def until_ended(self) -> None:
        with suppress(Gone):
            await self.task

    async def _receive(self) -> Frame:
        self.asked_for += 1
        return await self._inbox.get()

    async def _send(self, message: Frame) -> None:
        await self._flowing.wait()
        if self._is_gone:
            raise Gone
        assert self.code is None, f"sent after the close: {message}"
        if message["type"] == "websocket.close":
            self.code, self.reason = message["code"], message["reason"]
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": self.code})
        elif message["type"] == "websocket.accept":
            self.subprotocol = message["subprotocol"]
        elif message.get("bytes") is not None:
            self.data += message["bytes"]
        else:
            self.sent.append(json.loads(message["text"]))
        self._news.set()

    def say(self, **frame: Any) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def say_bytes(self, data: bytes) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": data})

    def stall(self) -> None:
        self._flowing.clear()

    def go_on(self) -> None:
        """After stall(): read again."""
        self._flowing.set()

    def vanish(self) -> None:
        self._is_gone = True
        self._flowing.set()
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"it didn't come; sent: {self.sent[-5:]}, closed with {self.code}")

    async def until_sent(self, **fields: Any) -> Frame:
        def found() -> list[Frame]:
            return [frame for frame in self.sent if fields.items() <= frame.items()]

        await self.until(lambda: bool(found()))
        return found()[0]

    async def until_closed(self) -> tuple[int | None, str]:
        await self.until(lambda: self.code is not None)
        return self.code, self.reason

    @property
    def text(self) -> str:
        return "".join(frame["data"] for frame in self.sent if frame["type"] == "output")

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.sent]


async def change(home: Environment, **columns: Any) -> None:
    await database_sync_to_async(Environment.objects.filter(pk=home.pk).update)(**columns)


async def act(home: Environment, action: str) -> None:
    await database_sync_to_async(environment_act)(
        environment_id=home.pk, owner_id=home.owner_id, action=action, actor_id=home.owner_id
    )
