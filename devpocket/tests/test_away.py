"""What is answered while database or cache are away. Real ones are cut off in terminals/tests/test_outages.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db import InterfaceError, OperationalError
from django.test import Client
from rest_framework.test import APIClient

from accounts.services import SignIn
from devpocket import cache, throttling
from devpocket.cache import CacheAway, shared_or_own
from devpocket.redis_cache import CountingRedisCache
from devpocket.tests import wire
from terminals import slots

NOBODY_THERE = "redis://127.0.0.1:1"


@pytest.fixture
def _cache_away() -> Iterator[None]:
    away = CountingRedisCache(NOBODY_THERE, {"OPTIONS": {"socket_connect_timeout": 1}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_away_until", 0.0)
        patch.setattr(caches._connections, "default", away)  # type: ignore[attr-defined]
        yield
    caches["local"].clear()


@pytest.mark.usefixtures("_cache_away")
def test_limits_are_kept_by_each_process_without_the_cache(settings: Any) -> None:
    settings.RATE_LIMITS = {"few": (2, 3600)}
    settings.THROTTLE_SCALE = 1
    assert [throttling.count("few", "ann").allowed for _ in range(3)] == [True, True, False]


@pytest.mark.usefixtures("_cache_away")
def test_sockets_are_counted_by_each_process_without_the_cache(settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 1
    assert slots.slot_take("ann", "one")
    assert not slots.slot_take("ann", "two")
    slots.slot_free("one")
    assert slots.slot_take("ann", "two")
    slots.slot_free("two")


@pytest.mark.usefixtures("_cache_away")
def test_what_needs_the_cache_is_refused_for_now(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> None:
    with pytest.raises(CacheAway):
        caches["default"].get("anything")
    assert shared_or_own(lambda store: store.get("anything", "own")) == "own"
    client = client_of(ann)
    assert client.get("/api/v1/auth/me").status_code == 200
    response = client.post("/api/v1/ws/tickets")
    wire.check_refusal(response, 503, "service_unavailable")
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("error", [OperationalError("terminating connection"), InterfaceError("closed")])
def test_a_database_that_is_away_is_a_503(
    error: Exception, ann: SignIn, client_of: Callable[[SignIn], APIClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("accounts.api.authentication.get_session_by_access_token", fails)
    response = client_of(ann).get("/api/v1/auth/me")
    wire.check_refusal(response, 503, "service_unavailable")
    assert response["Retry-After"] == "5"
    assert b"terminating" not in response.content


def test_a_page_without_the_database_is_a_503_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise OperationalError("terminating connection")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", fails)
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    response = client.get("/admin/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert b"terminating" not in response.content
