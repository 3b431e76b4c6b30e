"""The cloud client in the server process: made from settings, called from async code through a few threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import structlog
from django.conf import settings

from environments.cloud import CloudClient, CloudError

T = TypeVar("T")
log = structlog.get_logger(__name__)

THREADS = 8
READY_CACHE_S = 15.0


@cache
def client() -> CloudClient:
    return CloudClient(settings.DO_API_URL, settings.DO_TOKEN, pool_size=THREADS)


@cache
def impatient_client() -> CloudClient:
    """For calls inside a request: two of them stay within 10 s (contract T22)."""
    return CloudClient(settings.DO_API_URL, settings.DO_TOKEN, timeouts_s=(2.0, 2.5), retries=0, pool_size=THREADS)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="cloud")


async def call(work: Callable[[CloudClient], T]) -> T:
    """Run one cloud call without holding up the event loop. Raises what the client raises."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), work, client())


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
                    impatient_client().account_check()
                    self._reachable = True
                except CloudError as error:
                    self._reachable = False
                    log.error("cloud_not_usable", error=str(error), cloud_request_id=error.request_id)
                self._looked_at = time.monotonic()
            return self._reachable


_readiness = _Readiness()


async def is_reachable() -> bool:
    """Does the cloud take our token: for /health/ready."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _readiness.look)
