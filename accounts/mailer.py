"""The service that delivers queued mails, in the server process beside requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from channels.db import database_sync_to_async

from accounts import mails
from devpocket.tasks import TaskOwner

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 15.0  # for retries, and for what other processes queued and left
BATCH = 20


class Mailer:
    """Delivers one mail after another; a slow mail server holds up mails and nothing else."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Safe to call from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._deliver()
                await database_sync_to_async(mails.mails_prune)()
            except Exception:
                log.exception("mailer_failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    async def _deliver(self) -> None:
        while due := await database_sync_to_async(mails.mails_due)(limit=BATCH):
            for mail_id in due:
                # A thread of its own: the shared one serves everybody's queries, and SMTP takes seconds.
                await database_sync_to_async(mails.mail_deliver, thread_sensitive=False)(mail_id)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    mailer, tasks = Mailer(), TaskOwner()
    mails.wakers.register(mailer.wake)
    tasks.start(mailer.run(), name="mailer")
    try:
        yield
    finally:
        mails.wakers.unregister(mailer.wake)
        await tasks.aclose()
