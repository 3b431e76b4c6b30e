"""A phone at the terminal's WebSocket: what it sends, what it has been shown, and ways to lose its connection."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from devpocket.testing.server import Server

WAIT_S = 10
Frame = dict[str, Any]


class Phone:
    """One connection. `frames`: all that came; `screen`: the output not yet looked at; `offset`: its end, as told."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[Frame] = []
        self.screen = ""
        self.welcome: Frame = {}
        self.offset = 0

    @classmethod
    @asynccontextmanager
    async def at(
        cls, server: Server, environment_id: str, query: str = "", *, path: str = "terminal", **options: Any
    ) -> AsyncIterator[Phone]:
        address = f"{server.ws_url}/api/v1/ws/{path}/{environment_id}?{query}"
        async with connect(address, max_size=None, proxy=None, **options) as connection:
            yield cls(connection)

    @classmethod
    @asynccontextmanager
    async def in_use(
        cls, server: Server, environment_id: str, token: str, query: str = "", **options: Any
    ) -> AsyncIterator[Phone]:
        """One that is welcomed with a shell."""
        async with cls.at(server, environment_id, f"token={token}&{query}", **options) as phone:
            await phone.greet()
            assert phone.welcome["ssh_connected"], phone.welcome
            yield phone

    @property
    def stream(self) -> Frame:
        """Where to resume: {"id", "offset"}."""
        return {"id": self.welcome["stream"]["id"], "offset": self.offset}

    async def greet(self) -> Frame:
        """The first frame, which is the welcome."""
        self.welcome = await self.next()
        assert self.welcome["type"] == "welcome", self.welcome
        self.offset = (self.welcome["stream"] or {"offset": 0})["offset"]
        return self.welcome

    async def next(self) -> Frame:
        async with asyncio.timeout(WAIT_S):
            text = await self.connection.recv(decode=None)
        frame: Frame = json.loads(text)
        self.frames.append(frame)
        if frame["type"] == "output":
            self.screen += frame["data"]
            self.offset = frame["offset"]
        return frame

    async def until(self, holds: Callable[[Frame], bool]) -> Frame:
        """The first frame from now on for which it holds."""
        async with asyncio.timeout(WAIT_S):
            while not holds(frame := await self.next()):
                pass
        return frame

    async def until_type(self, kind: str) -> Frame:
        return await self.until(lambda frame: frame["type"] == kind)

    async def until_shown(self, text: str) -> None:
        """Read until the output since the last call has `text` in it, and forget it up to there."""
        try:
            async with asyncio.timeout(WAIT_S):
                while text not in self.screen:
                    await self.next()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown, but {self.screen[-500:]!r}") from None
        self.screen = self.screen.partition(text)[2]

    async def until_closed(self) -> tuple[int, str]:
        """Read to the end; the close code and reason."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def type(self, text: str) -> None:
        await self.send(type="input", data=text)

    async def run(self, command: str, expected: str) -> None:
        """Type a command line and wait for what it prints. `expected` must not be part of the line itself.

        "word-$((1+1))" in it is made one of a kind: an earlier test's "word-2" may still be on the screen.
        """
        assert expected not in command
        if "$((1+1))" in command and expected.endswith("-2"):
            tag = f".{secrets.token_hex(3)}"
            command, expected = command.replace("$((1+1))", f"$((1+1)){tag}"), expected + tag
        await self.type(f"{command}\r")
        await self.until_shown(expected)

    def vanish(self) -> None:
        """Lose the network without a word; what was under way to us is lost as well."""
        raw: socket.socket = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST instead of FIN
        self.connection.transport.abort()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(WAIT_S):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
