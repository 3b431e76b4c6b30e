"""The cloud client in the server process: made from settings, called from async code through a few threads.

Every call passes the budget that all processes share (budget.py).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from typing import TypeVar

import structlog
from django.conf import settings

from environments import budget
from environments.budget import BudgetSpent, Gate, Priority
from environments.cloud import CloudClient, CloudError, CloudRejected, CloudThrottled

T = TypeVar("T")
log = structlog.get_logger(__name__)

THREADS = 8
READY_CACHE_S = 15.0
TOKEN_REFUSED_HOLD_S = 60.0  # an operator has to act: nothing is gained by asking sooner
HOLD_MAX_S = 60.0  # by the hourly limit the cloud may name a longer one; we look each minute


@cache
def gate(priority: Priority) -> Gate:
    return Gate(priority)


@cache
def client(priority: Priority) -> CloudClient:
    return CloudClient(settings.DO_API_URL, settings.DO_TOKEN, pool_size=THREADS, gate=gate(priority))


@cache
def impatient_client() -> CloudClient:
    """For calls inside a request: two of them stay within 10 s (contract T22)."""
    return CloudClient(
        settings.DO_API_URL,
        settings.DO_TOKEN,
        timeouts_s=(2.0, 2.5),
        retries=0,
        pool_size=THREADS,
        gate=gate(Priority.REQUEST),
    )


@cache
def _prober() -> CloudClient:
    """For the health check: outside the budget, so that it tells of the cloud also when that is used up."""
    return CloudClient(settings.DO_API_URL, settings.DO_TOKEN, timeouts_s=(2.0, 2.0), retries=0, pool_size=1)


def forget_clients() -> None:
    """Close all of them: the next call makes them anew, from the settings as they are then."""
    for made in (*map(client, Priority), impatient_client(), _prober()):
        made.close()
    for priority in Priority:
        gate(priority).close()  # whoever waits there calls no more
    for maker in (client, impatient_client, _prober, gate):
        maker.cache_clear()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="cloud")


async def call(
    work: Callable[[CloudClient], T],
    *,
    priority: Priority = Priority.STEP,
    on_request_id: Callable[[str], None] = lambda request_id: None,
) -> T:
    """Run cloud calls without holding up the event loop. Raises what the client raises.

    Where the caller is cancelled, a call that waits for its turn isn't made any more; one that is out goes on.
    """
    abandoned = threading.Event()

    def run() -> T:
        gate(priority).watch(abandoned)
        cloud = client(priority)
        try:
            return work(cloud)
        finally:
            on_request_id(cloud.request_id)

    try:
        return await asyncio.get_running_loop().run_in_executor(_threads(), run)
    except asyncio.CancelledError:
        abandoned.set()
        raise
    except BudgetSpent:
        raise
    except CloudThrottled as error:
        await asyncio.to_thread(budget.hold, min(error.retry_after_s, HOLD_MAX_S))
        raise
    except CloudRejected as error:
        if error.status == 401:
            log.error("cloud_token_refused", error=str(error), cloud_request_id=error.request_id)
            await asyncio.to_thread(budget.hold, TOKEN_REFUSED_HOLD_S)
        raise


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    try:
        yield
    finally:
        forget_clients()


class _Readiness:
    """The answer of the last look, so that probes cost the cloud at most four calls a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._reachable = False

    def look(self) -> bool:
        with self._lock:
            if time.monotonic() - self._looked_at > READY_CACHE_S:
                try:
                    _prober().account_check()
                    self._reachable = True
                except CloudError as error:
                    self._reachable = False
                    hint = "set a good DO_TOKEN and restart" if error.status in (401, 403) else "no usable answer"
                    log.error("cloud_not_usable", error=str(error), hint=hint, cloud_request_id=error.request_id)
                self._looked_at = time.monotonic()
            return self._reachable


_readiness = _Readiness()


async def is_reachable() -> bool:
    """Does the cloud take our token: for /health/ready."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _readiness.look)
