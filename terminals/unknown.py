"""WebSockets at an address that isn't one of ours."""

from __future__ import annotations

from channels.generic.websocket import AsyncWebsocketConsumer

from devpocket.access_log import SocketLines
from terminals import frames
from terminals.socket_life import POLICY_VIOLATION


class UnknownConsumer(AsyncWebsocketConsumer):
    """A path that isn't one of ours."""

    async def connect(self) -> None:
        lines = SocketLines(self.scope, "unknown")
        told = frames.error("not_found", "There is nothing at this address.")
        await self.accept()
        await self.send(text_data=told)
        await self.close(code=POLICY_VIOLATION, reason="Not found")
        lines.closed(POLICY_VIOLATION, "Not found", bytes_in=0, bytes_out=len(told))
