"""What operators watch: the dashboard, the alerts and the documentation name metrics that there are, and these say what
is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import OperationalError
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from accounts.models import Mail
from accounts.services import SignIn
from devpocket import metrics_view, watching
from devpocket.testing.processes import ROOT
from environments.lifecycle import Phase

assert metrics_view  # as the server does, it loads all that is told there
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "info": ("_info",)}
NAME = re.compile(r"\b(?:devpocket|process|python)_\w+")


def told() -> set[str]:
    """The names of all series that `GET /metrics` can have."""
    families = [family for family in REGISTRY.collect() if family.name != "devpocket_tests"]
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def dashboard_queries() -> Iterator[str]:
    board = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"].replace("$__rate_interval", "5m")


def alert_queries() -> Iterator[str]:
    [group] = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["summary"]
        yield rule["expr"]


@pytest.mark.parametrize("query", [*dashboard_queries(), *alert_queries()])
def test_a_query_can_be_read_and_asks_for_what_there_is(query: str) -> None:
    promql_parser.parse(query)
    names = set(NAME.findall(query))
    assert names <= told()
    assert names or "up{" in query


def test_the_documentation_lists_all_metrics_and_no_other() -> None:
    rows = re.findall(
        r"^\| (`[a-z].*?) \|", (ROOT / "docs/watching.md").read_text().partition("## Metrics")[2], re.MULTILINE
    )
    listed = {f"devpocket_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)}
    families = {family.name: family.type for family in REGISTRY.collect() if family.name.startswith("devpocket_")}
    families.pop("devpocket_tests", None)
    assert listed == {name + ("_total" if kind == "counter" else "") for name, kind in families.items()}


def probes_counted() -> list[float]:
    """Those that failed are, in other tests."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    return [sample.value for sample in samples if "health" in sample.labels.get("route", "")]


def test_requests_are_counted_by_route_never_by_path(ann: SignIn) -> None:
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ann.tokens.access}")
    route = {"method": "GET", "route": "/api/v1/environments/<pk>", "status": "4xx"}
    before, probes = value("devpocket_requests_total", **route) or 0, probes_counted()
    for path in ("one", "two/"):
        assert client.get(f"/api/v1/environments/{path}").status_code == 404
    client.get("/not-there/hunter2")
    client.generic("BREW", "/not-there/hunter2")
    client.get("/health/live")
    assert value("devpocket_requests_total", **route) == before + 2
    assert value("devpocket_requests_total", **(route | {"status": "5xx"})) is not None  # so that rate() sees the first
    labels = [sample.labels for family in REGISTRY.collect() for sample in family.samples]
    assert not [found for found in labels if "hunter2" in str(found) or "BREW" in str(found)]
    assert probes_counted() == probes
    assert (value("devpocket_requests_total", method="other", route="unknown", status="4xx") or 0) >= 1


def test_throttled_requests_are_counted_by_their_limit(db: None, settings: Any) -> None:
    settings.THROTTLE_SCALE = 1
    before = value("devpocket_throttled_total", bucket="auth") or 0
    answers = [APIClient().post("/api/v1/auth/login", {"email": "x@example.org", "password": "x"}) for _ in range(7)]
    refused = sum(answer.status_code == 429 for answer in answers)
    assert refused >= 1
    assert value("devpocket_throttled_total", bucket="auth") == before + refused


@pytest.mark.django_db(transaction=True)
async def test_what_all_processes_share_is_read_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    await database_sync_to_async(Mail.objects.create)(kind=Mail.Kind.VERIFY_EMAIL, address="a@example.org")
    await watching.read_once()
    assert value("devpocket_mail_queue") == 1
    assert (value("devpocket_mail_queue_age_seconds") or -1) >= 0
    assert {phase: value("devpocket_environments", phase=phase) for phase in ("running", "creating")} == {
        "running": 0,
        "creating": 0,
    }
    assert value("devpocket_environments", phase=Phase.TERMINATED) is None
    assert (value("devpocket_provisioner_due"), value("devpocket_provisioner_lag_seconds")) == (0, 0)
    assert value("devpocket_cloud_budget_left", window="minute") == django_settings.CLOUD_CALLS_PER_MINUTE
    assert (value("devpocket_ready", check="database"), value("devpocket_ready", check="cloud_api")) == (1, 0)

    def is_away() -> watching.Values:
        raise OperationalError("gone")

    monkeypatch.setattr(watching, "_read_all", is_away)
    await watching.read_once()
    assert value("devpocket_mail_queue") == 1  # another process has read it a moment ago
    await database_sync_to_async(cache.clear)()
    await watching.read_once()
    assert value("devpocket_mail_queue") is None
