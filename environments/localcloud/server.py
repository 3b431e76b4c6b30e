"""The whole local cloud in one event loop: state, HTTP, droplets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from environments.localcloud.app import Address, App
from environments.localcloud.cloud import Cloud, kind_of_fleet
from environments.localcloud.fleet import CannotStart
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store

FINISH_S = 0.5  # what requests under way get at the end


class LocalCloud:
    """A running local cloud."""

    def __init__(self, settings: Settings, app: App, port: int) -> None:
        self.settings, self.app, self.port = settings, app, port

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{self.settings.host}:{self.port}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready, self.ending = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # As uvicorn's own, but without waking ten times a second to see whether it is over.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs us."""
        yield


def _protocol(app: App) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, made to tell the application of its transports."""

    class Protocol(HttpToolsProtocol):
        _address: Address | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = cast(Address, tuple(transport.get_extra_info("peername")[:2]))
            app.transports[self._address] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._address:
                app.transports.pop(self._address, None)

    return Protocol


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, since asyncio switches Nagle's algorithm off only then, and an answer that goes out in
    # two writes would wait 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CannotStart(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
    return sock


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[LocalCloud]:
    """Run a local cloud as long as the context lasts.

    Raises:
        CannotStart: an address is taken.
        StateInUse: another local cloud uses the state directory.
        OSError: the state directory can't be written.
    """
    await kind_of_fleet(settings).check(settings)
    async with contextlib.AsyncExitStack() as stack:
        sock = _bind(settings)
        stack.callback(sock.close)
        store = Store(settings.state)
        stack.callback(store.close)
        cloud = Cloud(settings, store)
        stack.push_async_callback(cloud.aclose)
        await cloud.start()
        app = App(cloud)
        config: Any = uvicorn.Config(
            cast(Any, app),
            http=cast(Any, _protocol(app)),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]), name="http")
        try:
            await server.ready.wait()
            yield LocalCloud(settings, app, sock.getsockname()[1])
        finally:
            app.stopping.set()
            server.should_exit = True
            server.ending.set()
            # Requests that are being answered get their answer; one that hangs is not waited for.
            cutting = asyncio.get_running_loop().call_later(FINISH_S, app.cut)
            await serving
            cutting.cancel()
