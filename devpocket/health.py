"""Health endpoints that tell the truth (contract section 8). Outside the rate limits and without sign-in."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string

from devpocket import stopping
from devpocket.checks import OwnThread

log = structlog.get_logger(__name__)

CHECK_LIMIT_S = 4  # the phone's probe gives up after 5 s (contract T22)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _answers() -> bool:
    _database()
    return True


@functools.cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    """The last of each app that this version of the code has."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())


def _is_migrated() -> bool:
    """The database answers, and is as this version needs it; a newer version may have migrated it further."""
    _database()
    missing = _newest_migrations() - set(MigrationRecorder(connection).applied_migrations())
    if missing:
        log.warning("migrations_missing", migrations=sorted(".".join(name) for name in missing))
    return not missing


_answering = OwnThread(_answers, name="health-database")
_migrated = OwnThread(_is_migrated, name="health-migrations")


async def _database_answers() -> bool:
    return await _answering()


async def _database_is_ready() -> bool:
    return await _migrated()


async def _channel_layer_answers() -> bool:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "health.probe"})
    return bool((await layer.receive(channel))["type"] == "health.probe")


async def _passes(name: str, check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            return await check()
    except Exception as error:  # noqa: BLE001 -- whatever a check raises means the same: not ready
        log.warning("health_check_failed", check=name, error=type(error).__name__)
        return False


async def health(request: HttpRequest) -> JsonResponse:
    """Is the service able to answer: 200 "healthy", or 503 "unhealthy" without its database."""
    healthy = await _passes("database", _database_answers)
    body = {
        "status": "healthy" if healthy else "unhealthy",
        "service": "devpocket",
        "version": settings.VERSION,
        "environment": settings.ENVIRONMENT,
        "timestamp": time.time(),
    }
    return JsonResponse(body, status=200 if healthy else 503)


async def live(request: HttpRequest) -> JsonResponse:
    """Is the process's event loop turning. Touches nothing else."""
    return JsonResponse({"status": "alive"})


async def readiness() -> dict[str, bool]:
    """Each check of /health/ready, and whether it passes. Takes CHECK_LIMIT_S at most."""
    checks: dict[str, Callable[[], Awaitable[bool]]] = {
        "database": _database_is_ready,
        "channel_layer": _channel_layer_answers,
        **{name: import_string(path) for name, path in settings.READINESS_CHECKS.items()},
    }
    passed = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
    return dict(zip(checks, passed, strict=True))


async def ready(request: HttpRequest) -> JsonResponse:
    """Should this process be given work: each check "ok" or "failed". 503 when one failed, or when it stops."""
    passed = await readiness()
    is_ready = all(passed.values()) and not stopping.is_begun()
    body = {
        "status": "ready" if is_ready else "not_ready",
        "checks": {name: "ok" if ok else "failed" for name, ok in passed.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)
