"""What runs in the server process beside requests: started and ended by the ASGI lifespan protocol.

settings.LIFESPAN_SERVICES names async context managers, entered in order and left in reverse.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)


async def lifespan(_scope: Any, receive: Any, send: Any) -> None:
    """The ASGI `lifespan` application."""
    await receive()  # lifespan.startup
    async with AsyncExitStack() as stack:
        try:
            for path in settings.LIFESPAN_SERVICES:
                await stack.enter_async_context(import_string(path)())
        except Exception as error:
            log.exception("startup_failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
    await send({"type": "lifespan.shutdown.complete"})
