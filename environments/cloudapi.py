"""The cloud client in the server process: made from settings, called from async code through a few threads.

Every call passes the budget that all processes share (budget.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache as once
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from devpocket.checks import OwnThread, Remembered
from environments import budget, counters
from environments.budget import BudgetSpent, Gate, Priority
from environments.cloud import CloudClient, CloudError, CloudRejected, CloudThrottled

T = TypeVar("T")
log = structlog.get_logger(__name__)

THREADS = 8
READY, READY_CACHE_S = "cloud-is-reachable", 15.0
TOKEN_REFUSED_HOLD_S = 60.0  # an operator has to act: nothing is gained by asking sooner
HOLD_MAX_S = 60.0  # by the hourly limit the cloud may name a longer one; we look each minute


@once
def gate(priority: Priority) -> Gate:
    return Gate(priority)


def _client(**options: Any) -> CloudClient:
    return CloudClient(settings.DO_API_URL, settings.DO_TOKEN, on_call=counters.cloud_called, **options)


@once
def client(priority: Priority) -> CloudClient:
    return _client(pool_size=THREADS, gate=gate(priority))


@once
def impatient_client() -> CloudClient:
    """For calls inside a request: two of them stay within 10 s (contract T22)."""
    return _client(timeouts_s=(2.0, 2.5), retries=0, pool_size=THREADS, gate=gate(Priority.REQUEST))


@once
def _prober() -> CloudClient:
    """For the health check: outside the budget, so that it tells of the cloud also when that is used up."""
    return _client(timeouts_s=(2.0, 2.0), retries=0, pool_size=1)


def forget_clients() -> None:
    """Close all of them: the next call makes them anew, from the settings as they are then."""
    for made in (*map(client, Priority), impatient_client(), _prober()):
        made.close()
    for priority in Priority:
        gate(priority).close()  # whoever waits there calls no more
    for maker in (client, impatient_client, _prober, gate):
        maker.cache_clear()


@once
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


def _look() -> bool:
    """The answer of the last look, in any process, so that probes cost the cloud four calls a minute."""
    known = _known()
    if known is not None:
        return known
    try:
        _prober().account_check()
        reachable = True
    except CloudError as error:
        reachable = False
        hint = "set a good DO_TOKEN and restart" if error.status in (401, 403) else "no usable answer"
        log.error("cloud_not_usable", error=str(error), hint=hint, cloud_request_id=error.request_id)
    _own_look.set(reachable)
    with suppress(OSError, RedisError):
        cache.set(READY, reachable, READY_CACHE_S)
    return reachable


def _known() -> bool | None:
    try:
        found: bool | None = cache.get(READY)
    except (OSError, RedisError):  # that says nothing about the cloud
        return _own_look.get()
    return found


_own_look = Remembered(READY_CACHE_S)
_prober_check = OwnThread(_look, name="cloud-prober")


async def is_reachable() -> bool:
    """Does the cloud take our token: for /health/ready."""
    # Not one of the threads for calls: those may all be waiting for their turn.
    return await _prober_check()
