"""WebSocket routes (contract section 9)."""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from terminals.consumers import TerminalConsumer
from terminals.environments_consumer import EnvironmentsConsumer
from terminals.log_consumer import LogsConsumer
from terminals.unknown import UnknownConsumer

websocket_application: Any = URLRouter(
    [
        re_path(r"^api/v1/ws/terminal/(?P<environment_id>[^/]+)/?$", TerminalConsumer.as_asgi()),
        re_path(r"^api/v1/ws/logs/(?P<environment_id>[^/]+)/?$", LogsConsumer.as_asgi()),
        re_path(r"^api/v1/ws/environments/?$", EnvironmentsConsumer.as_asgi()),
        re_path(r"^.*$", UnknownConsumer.as_asgi()),
    ]
)
