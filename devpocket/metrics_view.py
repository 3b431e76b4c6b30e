"""`GET /metrics`: what this process counts, in Prometheus's text format. Only routed where METRICS_TOKEN is set.

Other modules declare their metrics in prometheus_client's default registry, which also has the process's memory, CPU
time and open files. There is one registry a process: each process is scraped by itself.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.http import HttpResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, disable_created_metrics, generate_latest
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from devpocket import host_gauges, watching  # noqa: F401 -- they register theirs
from devpocket.api import ApiView
from devpocket.errors import DomainError

disable_created_metrics()  # twice the lines, to say when this process began to count


class NoMetricsToken(DomainError):
    code, http_status = "not_authenticated", 401


class MetricsView(ApiView):
    """In a thread, as every plain view: reading /proc would hold up the event loop. Never throttled: a scrape that is
    missing in a flood is missing when it is needed.
    """

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]
    throttle_classes: list[type] = []
    schema = None

    def get(self, request: Request) -> HttpResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        is_given = secrets.compare_digest(given.strip().encode(), settings.METRICS_TOKEN.encode())
        if not settings.METRICS_TOKEN or scheme.lower() != "bearer" or not is_given:
            raise NoMetricsToken("The metrics need their token.")
        return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
