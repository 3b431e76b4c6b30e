"""WebSockets at an address that isn't one of ours."""

from __future__ import annotations

from channels.generic.websocket import AsyncWebsocketConsumer

from terminals import frames
from terminals.socket_life import POLICY_VIOLATION


class UnknownConsumer(AsyncWebsocketConsumer):
    """A path that isn't one of ours."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=frames.error("not_found", "There is nothing at this address."))
        await self.close(code=POLICY_VIOLATION, reason="Not found")
