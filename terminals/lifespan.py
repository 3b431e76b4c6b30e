"""This process's hub of terminals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from environments.connections import pool
from terminals.hub import Hub

hub = Hub(pool, resume_s=settings.TERMINAL_RESUME_SECONDS)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    try:
        yield
    finally:
        hub.close()
