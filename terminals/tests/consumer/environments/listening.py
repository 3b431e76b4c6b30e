"""A socket at the address of the list, and what it was told of it."""

from __future__ import annotations

from typing import Any

from channels.layers import get_channel_layer

from environments.models import Environment
from terminals.tests.consumer.served import Frame, Socket


class ListSocket(Socket):
    def __init__(self, token: str, query: str = "", *, slash: str = "", **options: Any) -> None:
        super().__init__("", token, query, **options)
        self.scope["path"] = f"/api/v1/ws/environments{slash}"

    def told(self, **fields: Any) -> list[Frame]:
        """Environments that were told as news, in order, which have these fields."""
        news = [frame["environment"] for frame in self.sent if frame["type"] == "environment"]
        return [shown for shown in news if fields.items() <= shown.items()]

    async def until_told(self, **fields: Any) -> Frame:
        await self.until(lambda: bool(self.told(**fields)))
        return self.told(**fields)[-1]


async def nudge(environment: Environment) -> None:
    await get_channel_layer().group_send(f"owner.{environment.owner_id}", {"type": "environment.changed"})
