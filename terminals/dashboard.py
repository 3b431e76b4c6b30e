"""The operators' page: what runs, what is stuck, what failed, with links to the lists. Plain HTML, no script.

Its figures are read at most every FRESH_S seconds, for all who look; the page says how old they are.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mail, User
from environments.overview import overview
from terminals.models import Mode
from terminals.presence import open_terminals

FRESH_S = 10
CACHE_KEY = "admin-dashboard"
ENVIRONMENTS = "environments_environment"
NEEDS = ("environments.view_environment", "accounts.view_user", "terminals.view_openterminal")


def dashboard(request: HttpRequest) -> TemplateResponse:
    """Raises: PermissionDenied, for staff that may not see the lists behind it."""
    if not all(request.user.has_perm(name) for name in NEEDS):
        raise PermissionDenied
    found = cache.get(CACHE_KEY)
    if found is None:
        found = {**figures(), "at": timezone.now()}
        cache.set(CACHE_KEY, found, FRESH_S)
    age_s = int((timezone.now() - found["at"]).total_seconds())
    context = {**admin.site.each_context(request), **found, "title": "Operations", "age_s": age_s}
    return TemplateResponse(request, "terminals/admin_dashboard.html", context)


def figures() -> dict[str, Any]:
    """Ten queries, whatever there is. Each number comes with the address of its list."""
    now = timezone.now()
    seen = overview()
    report = seen["report"]
    processes = open_terminals().order_by("process").values("process")
    viewing = Q(mode=Mode.VIEW)
    return {
        "phases": [(phase, count, listed(ENVIRONMENTS, phase__exact=phase)) for phase, count in seen["phases"]],
        "stuck": [(name, count, listed(ENVIRONMENTS, **query)) for name, count, query in seen["stuck"]],
        "errors": [{**row, "url": reverse(f"admin:{ENVIRONMENTS}_change", args=[row["pk"]])} for row in seen["errors"]],
        "errors_url": listed(ENVIRONMENTS, phase__exact="error"),
        "budget_minute": seen["budget"][0],
        "budget_hour": seen["budget"][1],
        "report": report and {"at": report.at, "found": len(report.found), "error": report.error},
        "reports_url": listed("environments_cloudreport"),
        "processes": [
            {**row, "url": listed("terminals_openterminal", process=row["process"])}
            for row in processes.annotate(
                terminals=Count("pk", filter=~viewing), viewers=Count("pk", filter=viewing), seen=Max("seen_at")
            )
        ],
        "mails": mails(),
        "users": users(now),
        "usd_month": round(seen["usd_month"], 2),
    }


def mails() -> dict[str, Any]:
    waiting = Mail.objects.filter(next_try_at__isnull=False).order_by()
    counts = waiting.aggregate(count=Count("pk"), oldest=Min("created_at"))
    given_up = Mail.objects.filter(next_try_at=None, sent_at=None).order_by().count()
    return {
        **counts,
        "url": listed("accounts_mail", next_try_at__isnull=False),
        "given_up": given_up,
        "given_up_url": listed("accounts_mail", next_try_at__isnull=True, sent_at__isnull=True),
    }


def users(now: datetime) -> dict[str, Any]:
    counts = User.objects.order_by().aggregate(
        count=Count("pk"),
        day=Count("pk", filter=Q(created_at__gte=now - timedelta(days=1))),
        week=Count("pk", filter=Q(created_at__gte=now - timedelta(days=7))),
    )
    return {
        **counts,
        "url": listed("accounts_user"),
        "day_url": listed("accounts_user", created_at__gte=now - timedelta(days=1)),
        "week_url": listed("accounts_user", created_at__gte=now - timedelta(days=7)),
    }


def listed(name: str, **query: Any) -> str:
    """The address of a list, narrowed to what the query says."""
    told = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in query.items()}
    address = reverse(f"admin:{name}_changelist")
    return f"{address}?{urlencode(told)}" if told else address
