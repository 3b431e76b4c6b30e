"""uvicorn's server, stopped so that nobody behind a proxy notices (docs/operations.md, "Restarting").

SIGTERM or SIGINT: /health/ready says 503, the provisioner begins nothing more, and after SHUTDOWN_DELAY_SECONDS no
connection is taken any more. Each WebSocket is closed with 1012 after a random while, so that clients don't all come
back at once; requests under way are answered. Then the services of the lifespan end. All of it is over within 30 s:
what isn't by then is cut off, which loses no more than SIGKILL does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from django.conf import settings

from devpocket import stopping

log = structlog.get_logger(__name__)

# Python's own look for garbage after every 700 objects, and so at all that lives, ever again, was an eighth of what a
# server with 500 terminals cost (`make load`). What is left lying meanwhile is a few MiB.
GARBAGE_THRESHOLDS = (20_000, 10, 10)
CONNECTIONS_LIMIT_S = 15  # to answer what was asked, and for clients to answer that they are closed
STOP_LIMIT_S = 29.0  # of 30: supervisors then kill


class Server(uvicorn.Server):
    """Says when it takes connections, and not before; ends with status 0 when it was told to."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        config.timeout_graceful_shutdown = CONNECTIONS_LIMIT_S
        super().__init__(config)
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises them again in the end: the status would say that we were killed. A second one changes
        nothing, but for Ctrl-C, which ends at once.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is loaded now stays
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        if not self.should_exit:
            self._announce()
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        watchdog = threading.Timer(STOP_LIMIT_S, _cut_off)
        watchdog.daemon = True
        watchdog.start()
        log.info("stopping", connections=len(self.server_state.connections))
        stopping.begin()
        await asyncio.sleep(settings.SHUTDOWN_DELAY_SECONDS)
        for listener in sockets or []:
            await self._take_waiting(listener)
        await super().shutdown(sockets)
        log.info("stopped")

    async def _take_waiting(self, listener: socket.socket) -> None:
        """Connections that the kernel has taken for us: closing the listener would reset them."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        config = self.config
        made = config.http_protocol_class(config, self.server_state, self.lifespan.state)  # type: ignore[call-arg, arg-type]
        return made  # type: ignore[return-value]


def _cut_off() -> None:
    log.error("stop_cut_off", after_s=STOP_LIMIT_S)
    os._exit(1)
