"""Health endpoints (contract section 8). The database is asked through a thread, so these tests commit."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import AsyncClient
from rest_framework.test import APIClient

from devpocket import __version__, health
from devpocket.tests import wire

HEALTH = ["/health", "/health/", "/api/v1/health", "/api/v1/health/"]
READY = ["/health/ready", "/health/ready/", "/api/v1/health/ready"]


async def answers() -> bool:
    return True


async def is_down() -> bool:
    return False


async def fails() -> bool:
    raise ConnectionError("hunter2")


async def hangs() -> bool:
    await asyncio.Event().wait()
    return True


@pytest.fixture
def _database_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("connection to hunter2 refused")

    monkeypatch.setattr(health, "_database", refuse)


@pytest.fixture
def _cloud_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("environments.cloudapi.is_reachable", answers)


def check_health(body: Any, status: str) -> None:
    wire.check(
        body,
        {
            "status": wire.one_of(status),
            "service": wire.one_of("devpocket"),
            "version": wire.one_of(__version__),
            "environment": wire.text,
            "timestamp": lambda value: None,
        },
    )
    assert type(body["timestamp"]) in (int, float)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", HEALTH)
def test_healthy_with_a_database(path: str) -> None:
    response = APIClient().get(path)
    assert response.status_code == 200
    check_health(wire.decode(response), "healthy")


@pytest.mark.usefixtures("_database_down")
@pytest.mark.parametrize("path", HEALTH)
def test_unhealthy_without_its_database(path: str) -> None:
    response = APIClient().get(path)
    assert response.status_code == 503
    check_health(wire.decode(response), "unhealthy")
    assert b"hunter2" not in response.content


@pytest.mark.parametrize("path", ["/health/live", "/health/live/", "/api/v1/health/live"])
def test_live_asks_nobody(path: str) -> None:  # without `db`, a query would raise
    response = APIClient().get(path)
    assert response.status_code == 200
    assert wire.decode(response) == {"status": "alive"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_cloud_up")
@pytest.mark.parametrize("path", READY)
def test_ready_when_every_check_passes(path: str) -> None:
    response = APIClient().get(path)
    assert response.status_code == 200
    checks = {"database": "ok", "channel_layer": "ok", "cloud_api": "ok"}
    assert wire.decode(response) == {"status": "ready", "checks": checks}


@pytest.mark.usefixtures("_cloud_up", "_database_down")
@pytest.mark.parametrize("path", READY)
def test_not_ready_without_the_database(path: str) -> None:
    response = APIClient().get(path)
    assert response.status_code == 503
    checks = {"database": "failed", "channel_layer": "ok", "cloud_api": "ok"}
    assert wire.decode(response) == {"status": "not_ready", "checks": checks}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_cloud_up")
def test_not_ready_with_a_migration_missing() -> None:
    recorder = MigrationRecorder(connection)
    app, name = max(key for key in recorder.applied_migrations() if key[0] == "environments")
    recorder.record_unapplied(app, name)
    try:
        assert wire.decode(APIClient().get("/health/ready"))["checks"]["database"] == "failed"
        assert APIClient().get("/health").status_code == 200
    finally:
        recorder.record_applied(app, name)
    recorder.record_applied("environments", "9999_of_a_newer_version")
    try:
        assert wire.decode(APIClient().get("/health/ready"))["checks"]["database"] == "ok"
    finally:
        recorder.record_unapplied("environments", "9999_of_a_newer_version")


@pytest.mark.django_db(transaction=True)
async def test_a_database_that_hangs_is_told_of_in_time_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the pool does while it can't connect: for longer than a probe waits."""
    may_end, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        may_end.wait(30)

    monkeypatch.setattr(health, "_database", hang)
    monkeypatch.setattr(health, "CHECK_LIMIT_S", 0.01)
    try:
        for _ in range(3):
            response = await AsyncClient().get("/health")
            assert response.status_code == 503
        assert asked == [1]
    finally:
        may_end.set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("check", [is_down, fails, hangs])
def test_not_ready_without_the_cloud(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("environments.cloudapi.is_reachable", check)
    if check is hangs:
        monkeypatch.setattr(health, "CHECK_LIMIT_S", 0.01)
        monkeypatch.setattr(health, "_database_is_ready", answers)
        monkeypatch.setattr(health, "_channel_layer_answers", answers)
    response = APIClient().get("/health/ready")
    assert response.status_code == 503
    assert wire.decode(response)["checks"] == {"database": "ok", "channel_layer": "ok", "cloud_api": "failed"}
    assert b"hunter2" not in response.content


@pytest.mark.django_db(transaction=True)
def test_probes_are_not_counted() -> None:
    for path in ("/health", "/health/live", "/api/v1/health"):
        for header in APIClient().get(path).headers:
            assert not header.lower().startswith("x-ratelimit")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/health", "/api/v1/health/", "/health/live", "/health/ready"])
def test_probes_only_read(path: str, method: str) -> None:
    response = getattr(APIClient(), method)(path)
    wire.check_refusal(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET, HEAD, OPTIONS"
