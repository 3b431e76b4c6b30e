"""Servers with an environment of theirs, for what is run by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.homes import Home, settled


@dataclass(frozen=True)
class World:
    servers: list[Server]
    home: Home
    directory: Path

    @property
    def server(self) -> Server:
        return self.servers[0]


@asynccontextmanager
async def world(directory: Path, *, processes: int = 1, **settings: str) -> AsyncIterator[World]:
    """A local cloud and so many server processes on one database."""
    with ExitStack() as stack:
        cloud = stack.enter_context(LocalCloud.start(directory))
        places = [directory / f"server-{number}" for number in range(processes)]
        for place in places:
            place.mkdir()
        wanted = {"ACCESS_TOKEN_SECONDS": "86400", "WS_CONNECTIONS_PER_USER": "100", **settings}
        servers = [stack.enter_context(Server.start(cloud.url, places[0], **wanted))]
        for place in places[1:]:
            servers.append(sibling := servers[0].sibling(place))
            stack.callback(kill, sibling)
        yield World(servers, await settled(servers[0]), directory)


def kill(server: Server) -> None:
    """The process that it has by then: it may have been started again."""
    server.process.kill()


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def forget_peak(server: Server) -> None:
    """From now on peak_mib() is of what comes. Source: proc(5), clear_refs."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def peak_mib(server: Server) -> float:
    """The most memory it had at any moment."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def rss_mib(server: Server) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / 2**20
