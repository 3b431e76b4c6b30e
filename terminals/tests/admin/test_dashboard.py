"""The operators' page: its numbers are those of the lists that it links to."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from environments.lifecycle import Phase
from environments.models import CloudReport, Environment
from terminals.dashboard import figures
from terminals.tests.admin.rows import Rows

pytestmark = pytest.mark.django_db
PAGE = "/admin/operations/"


@pytest.fixture
def some() -> None:
    Rows().add(24)
    now = timezone.now()
    late = Environment.objects.filter(phase=Phase.CREATING)
    late.update(next_step_at=now - timedelta(minutes=6), deadline_at=now - timedelta(minutes=1), lease_owner="gone")
    late.update(lease_until=now - timedelta(minutes=2))
    Environment.objects.filter(phase=Phase.ERROR).update(
        error_code="cloud_error", error_message="<b>The cloud said no.</b>", error_at=now
    )
    Environment.objects.filter(phase=Phase.RUNNING).update(
        billing_usd_per_hour=1.0, billing_since=now, billing_month_usd=7
    )
    CloudReport.objects.create(at=now, found=[{"kind": "droplet", "id": "1"}])


def numbers(page: str) -> list[tuple[str, str]]:
    """(address, number) of each number that is a link."""
    return [(url.replace("&amp;", "&"), number) for url, number in re.findall(r'<a href="([^"]+)">(\d+)</a>', page)]


def test_each_number_is_that_of_its_list(desk: Client, some: None) -> None:
    page = desk.get(PAGE).content.decode()
    found = numbers(page)
    assert len(found) > 15
    for url, number in found:
        assert url.startswith("/admin/")
        shown = desk.get(url)
        assert shown.status_code == 200, url
        if "cloudreport" not in url:  # one report tells of many things
            assert shown.context["cl"].result_count == int(number), url
    assert "&lt;b&gt;The cloud said no." in page
    assert sum(row["terminals"] for row in figures()["processes"]) == 24
    assert (figures()["usd_month"], figures()["report"]["found"]) == (14.0, 1)


def test_it_costs_ten_queries_at_most_every_ten_seconds(desk: Client, some: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert desk.get(PAGE).status_code == 200
        return len(captured)

    desk.get(PAGE)
    who_asks = queries()  # the session and its user
    cache.clear()
    assert queries() <= who_asks + 11
    assert queries() == who_asks


def test_it_has_no_script_or_style_of_its_own(desk: Client, some: None) -> None:
    page = desk.get(PAGE)
    text = page.content.decode()
    assert "'unsafe-inline'" not in page["Content-Security-Policy"]
    assert not re.search(r"<style|style=|<script(?![^>]*\bsrc=)|\son\w+=", text)
    assert PAGE in desk.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("codenames", "status"), [((), 403), (("view_environment", "view_user", "view_openterminal"), 200)]
)
def test_who_may_not_see_the_lists_does_not_see_their_numbers(codenames: Any, status: int) -> None:
    clerk = User.objects.create_user("clerk", "clerk@example.org", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    assert client.get(PAGE).status_code == 302
    client.force_login(clerk, backend="accounts.backends.LockoutBackend")
    assert client.get(PAGE).status_code == status
