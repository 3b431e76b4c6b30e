"""A bad network between clients and servers: a TCP proxy that delays, stalls and cuts, in the middle of anything."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from devpocket.tasks import TaskOwner

PIECE_BYTES = 4096
HELD_BYTES = 32 * 1024  # by each socket's kernel buffer, each way: more would hide the network's pace from both ends
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of nothing: what is under way is lost, and the other end is sent a RST


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one connection. Bytes are counted from its beginning, handshake and all.

    `port`: the server's. `down_bytes`, `up_bytes`: after so many towards the client, or from it, the connection is cut;
    None for never. `delay_s`: how long each piece is held, each way. `stall_s`: before a cut nothing goes through for
    so long. `server_is_told`: else its end stays open, as where a phone has lost its network; what it then sends is
    taken and thrown away (`swallows`), or not even taken.
    """

    port: int
    down_bytes: int | None = None
    up_bytes: int | None = None
    delay_s: float = 0.0
    stall_s: float = 0.0
    server_is_told: bool = True
    swallows: bool = True


class CuttingProxy:
    """`url`: where clients connect. `cuts`: so many connections were cut so far. `is_dark`: see go_dark()."""

    def __init__(self, fate: Callable[[], Fate]) -> None:
        self._fate = fate
        self._links: set[_Link] = set()
        self._tasks = TaskOwner()
        self.cuts = 0
        self.url = ""
        self.is_dark = False

    @classmethod
    @asynccontextmanager
    async def start(cls, fate: Callable[[], Fate]) -> AsyncIterator[CuttingProxy]:
        """`fate` is asked at each new connection."""
        proxy = cls(fate)
        async with proxy.started():
            yield proxy

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=PIECE_BYTES)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            listener.close()
            for link in list(self._links):
                link.cut(server_is_told=True)
            await self._tasks.aclose()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def cut_all(self, *, server_is_told: bool = True) -> None:
        """Cut what is open now."""
        for link in list(self._links):
            if not link.is_cut:
                self.cuts += 1
                link.cut(server_is_told=server_is_told)

    def go_dark(self) -> None:
        """From now on nothing goes through, and neither end is told; as in a tunnel."""
        self.is_dark = True
        for link in self._links:
            link.is_dark = True

    def light_up(self) -> None:
        """New connections work again. Older ones are forgotten by those between: who sends on one is told so (RST)."""
        self.is_dark = False
        for link in self._links:
            link.is_forgotten = link.is_dark

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate = self._fate()
        near, onward = writer.transport.get_extra_info("socket"), socket.socket()
        for end in (near, onward):
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                end.setsockopt(socket.SOL_SOCKET, option, HELD_BYTES)
        onward.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(onward, ("127.0.0.1", fate.port))
        except OSError:  # the server is down
            onward.close()
            return _reset(writer)
        link = _Link(fate, (reader, writer), await asyncio.open_connection(sock=onward, limit=PIECE_BYTES))
        link.is_dark = self.is_dark
        self._links.add(link)
        self._tasks.start(self._carry(link), name="link")

    async def _carry(self, link: _Link) -> None:
        try:
            if await link.carry():
                self.cuts += 1
                await link.swallow()
        finally:
            link.cut(server_is_told=True)
            self._links.discard(link)


End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection: the client's end and the server's."""

    def __init__(self, fate: Fate, client: End, server: End) -> None:
        self.fate, self.client, self.server = fate, client, server
        self.is_cut = self.is_dark = self.is_forgotten = False

    async def carry(self) -> bool:
        """Until it is over; whether that was a cut by fate."""
        fate = self.fate
        ways = [
            asyncio.ensure_future(self._way(self.server[0], self.client[1], fate.down_bytes)),
            asyncio.ensure_future(self._way(self.client[0], self.server[1], fate.up_bytes)),
        ]
        try:
            while ways:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if any(way.result() for way in done):
                    await asyncio.sleep(fate.stall_s)
                    self.cut(server_is_told=fate.server_is_told)
                    return True
                ways = [way for way in ways if way not in done]
            return False
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> bool:
        """Carry bytes, `most` of them; whether those have gone through. Each waits its time, all at once."""
        loop, passed = asyncio.get_running_loop(), 0
        held: deque[tuple[float, bytes]] = deque()
        reading: asyncio.Task[bytes] | None = asyncio.ensure_future(reader.read(PIECE_BYTES))
        try:
            while reading is not None or held:
                due_s = max(0.0, held[0][0] - loop.time()) if held else None
                waited_for = {reading} if reading is not None and len(held) < HELD_BYTES // PIECE_BYTES else set()
                if waited_for:
                    await asyncio.wait(waited_for, timeout=due_s)
                else:
                    await asyncio.sleep(due_s or 0.0)
                if reading is not None and reading.done():
                    data = reading.result()
                    if self.is_forgotten and reader is self.client[0]:
                        _reset(self.client[1])
                    if not self.is_dark:
                        held.append((loop.time() + self.fate.delay_s, data))
                    reading = asyncio.ensure_future(reader.read(PIECE_BYTES)) if data else None
                while held and held[0][0] <= loop.time():
                    data = held.popleft()[1]
                    if not data:
                        writer.close()
                        return False
                    if most is not None and passed + len(data) >= most:
                        writer.write(data[: most - passed])
                        return True
                    passed += len(data)
                    writer.write(data)
                    await writer.drain()
        except OSError:
            writer.close()
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        return False

    def cut(self, *, server_is_told: bool) -> None:
        self.is_cut = True
        _reset(self.client[1])
        if server_is_told:
            _reset(self.server[1])

    async def swallow(self) -> None:
        """The server's end, after a cut of which it wasn't told: until it closes, or the proxy does."""
        if self.fate.server_is_told:
            return
        if not self.fate.swallows:
            await asyncio.Event().wait()
        try:
            while await self.server[0].read(PIECE_BYTES):
                pass
        except OSError:
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
