"""manage.py serve: this server process, HTTP and WebSockets, by uvicorn (why: docs/decisions/dependencies.md)."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devpocket.http_protocol import HttpProtocol
from devpocket.server import Server
from devpocket.websocket_protocol import WebSocketProtocol

SEND_BUFFER_BYTES = 64 * 1024  # of a socket: what a slow phone has still to swallow after Ctrl-C
WS_MESSAGE_MAX_BYTES = 64 * 1024  # contract 9.1; larger ones close with 1009
KEEP_ALIVE_S = 75  # longer than proxies keep an idle connection (nginx: 60): who sends should be who closes


class Command(BaseCommand):
    help = "Serve the API and the terminals."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        listener = listen(options["host"], options["port"])
        config = uvicorn.Config(
            "devpocket.asgi:application",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_per_message_deflate=settings.WS_COMPRESSION,
            lifespan="on",
            ws_max_size=WS_MESSAGE_MAX_BYTES,
            ws_ping_interval=settings.WS_PING_SECONDS,
            ws_ping_timeout=settings.WS_PONG_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_S,
            log_config=None,
            access_log=False,  # ours leaves out query strings
            server_header=False,
            proxy_headers=False,  # devpocket.throttling reads them, from trusted proxies only
        )
        address = f"http://{options['host']}:{listener.getsockname()[1]}"
        Server(config, lambda: self.stdout.write(f"serving on {address}")).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket with a small send buffer, which its connections inherit. Raises: CommandError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CommandError(
            f"port {port} on {host} can't be used: {error.strerror}. Set PORT to another one."
        ) from error
    return listener
