"""This process's hub of terminals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from environments.connections import pool
from terminals import counters
from terminals.hub import Hub
from terminals.recorder import recorders_aclose

hub = Hub(pool, resume_s=settings.TERMINAL_RESUME_SECONDS)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    counters.streams_watch(all_streams=lambda: hub.counts()[0], away=lambda: hub.counts()[1])
    pool.on_dialled = counters.ssh_dialled
    try:
        yield
    finally:
        hub.close()
        await recorders_aclose()
