"""`GET /metrics`: for whoever has the token; without one in the settings there is no such address."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import clear_url_caches
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from devpocket import urls
from devpocket.tests import wire

TOKEN = "a-token-of-the-tests"
PATHS = ["/metrics", "/metrics/"]
counted = Counter("devpocket_tests_total", "What these tests count.")


@pytest.fixture
def _with_token(settings: Any) -> Iterator[None]:
    settings.METRICS_TOKEN = TOKEN
    importlib.reload(urls)
    clear_url_caches()
    yield
    settings.METRICS_TOKEN = ""
    importlib.reload(urls)
    clear_url_caches()


def ask(path: str = "/metrics", authorization: str | None = f"Bearer {TOKEN}", method: str = "get") -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return getattr(APIClient(), method)(path, headers=headers)


@pytest.mark.usefixtures("_with_token")
@pytest.mark.parametrize("path", PATHS)
def test_what_is_counted_is_told_in_prometheus_format(path: str) -> None:  # without `db`, a query would raise
    before = counted._value.get()
    counted.inc(3)
    response = ask(path)
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert response["Cache-Control"] == "no-store"
    families = {family.name: family for family in text_string_to_metric_families(response.content.decode())}
    assert [sample.value for sample in families["devpocket_tests"].samples] == [before + 3]
    assert "process_resident_memory_bytes" in families
    assert not [name for name in families if name.endswith("_created")]
    assert "devpocket_terminal_sockets_open" in families  # the apps above are in it as well


@pytest.mark.usefixtures("_with_token")
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "é é"]
)
def test_without_the_token_nothing_is_told(authorization: str | None) -> None:
    response = ask(authorization=authorization)
    wire.check_refusal(response, 401, "not_authenticated")
    assert b"devpocket_" not in response.content


@pytest.mark.usefixtures("_with_token")
def test_scrapes_are_not_counted_against_a_limit(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (1, 60))
    for _ in range(3):
        response = ask()
        assert response.status_code == 200
        assert not [header for header in response.headers if header.lower().startswith("x-ratelimit")]


@pytest.mark.usefixtures("_with_token")
def test_a_process_is_scraped_by_whatever_address_it_has(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["api.example.org"]
    response = APIClient(HTTP_HOST="10.1.2.3:8001").get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200


@pytest.mark.usefixtures("_with_token")
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_metrics_are_only_read(method: str) -> None:
    wire.check_refusal(ask(method=method), 405, "method_not_allowed")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", [None, "Bearer ", f"Bearer {TOKEN}"])
def test_with_no_token_set_there_is_no_such_address(path: str, authorization: str | None) -> None:
    response, unknown = ask(path, authorization), ask("/nothing-here", authorization)
    wire.check_refusal(response, 404, "not_found")
    assert response.json()["detail"] == unknown.json()["detail"]
    assert set(response.headers) == set(unknown.headers)
