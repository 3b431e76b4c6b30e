"""The admin's lists with many rows: no query comes with a row, and what they sort by has an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AllValuesFieldListFilter
from django.core.cache import cache
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from devpocket.operators import CappedPaginator, OperatorAdmin, ValuesFilter
from environments.models import CloudReport
from templates_catalog.models import Template
from terminals.tests.admin.rows import MAKERS, Rows

pytestmark = pytest.mark.django_db
REGISTERED: dict[type[Model], admin.ModelAdmin] = dict(admin.site._registry)
OURS = {model: of for model, of in REGISTERED.items() if isinstance(of, OperatorAdmin)}
SMALL = {CloudReport, Template}  # a row an hour, for 90 days; a catalogue has tens


def url_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_ten_times_the_rows_take_no_query_more(desk: Client) -> None:
    assert set(MAKERS) == set(REGISTERED), "say in rows.py how rows of it are made"
    rows = Rows()

    def queries() -> dict[str, int]:
        counts = {}
        for model in REGISTERED:
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                assert desk.get(url_of(model)).status_code == 200
            counts[model._meta.label] = len(captured)
        return counts

    desk.get(url_of(User))  # what is looked up once: content types, permissions
    rows.add(20)
    few = queries()
    rows.add(180)
    assert queries() == few
    assert max(few.values()) <= 14


def test_only_djangos_own_lists_are_not_ours() -> None:
    assert {model._meta.label for model in REGISTERED.keys() - OURS.keys()} == {"auth.Group"}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_lists_count_and_offer_no_more_than_they_have_to(model: type[Model], boss: User) -> None:
    ours = OURS[model]
    request = RequestFactory().get(url_of(model))
    request.user = boss
    assert (ours.paginator, ours.show_full_result_count) == (CappedPaginator, False)
    for name in ours.get_list_filter(request):
        field, kind = name if isinstance(name, tuple) else (name, None)
        if isinstance(field, str) and kind is None:
            column = model._meta.get_field(field)
            assert column.choices or column.related_model or column.get_internal_type() != "CharField", field
    if ours.has_change_permission(request):
        chosen = {
            name for name, field in ours.get_form(request, model())().fields.items() if hasattr(field, "queryset")
        }
        assert chosen <= {*ours.raw_id_fields, *ours.autocomplete_fields}


@pytest.mark.parametrize("model", [model for model in OURS if model not in SMALL], ids=lambda model: model._meta.label)
def test_lists_are_sorted_by_an_index(model: type[Model], boss: User) -> None:
    request = RequestFactory().get("/")
    request.user = boss
    ordering = list(OURS[model].get_ordering(request) or model._meta.ordering)
    first = ordering[0].lstrip("-")
    leading = {index.fields[0].lstrip("-") for index in model._meta.indexes if index.fields}
    leading |= {field.name for field in model._meta.fields if field.db_index or field.unique or field.primary_key}
    assert first in {*leading, "pk"}


def test_a_filter_by_values_reads_the_table_once_a_minute(desk: Client) -> None:
    Rows().add(20)
    url = reverse("admin:environments_environment_changelist")
    with CaptureQueriesContext(connection) as first:
        assert "fra1" in desk.get(url).content.decode()
    with CaptureQueriesContext(connection) as second:
        assert "fra1" in desk.get(url).content.decode()
    distinct: list[Any] = [[query for query in got if "DISTINCT" in query["sql"]] for got in (first, second)]
    assert (len(distinct[0]) > 0, len(distinct[1])) == (True, 0)
    assert issubclass(ValuesFilter, AllValuesFieldListFilter)


def test_more_rows_than_anybody_leafs_through_are_not_counted(monkeypatch: pytest.MonkeyPatch, boss: User) -> None:
    monkeypatch.setattr("devpocket.operators.COUNTED_MAX", 10)
    Rows().add(20, of=(User,))
    assert CappedPaginator(User.objects.all(), 50).count == 11
    assert CappedPaginator(User.objects.filter(username="user-3"), 50).count == 1


def test_an_id_is_looked_up_whole(desk: Client) -> None:
    Rows().add(20)
    wanted = User.objects.get(username="user-7")
    with CaptureQueriesContext(connection) as captured:
        shown = desk.get(url_of(User), {"q": str(wanted.pk)}).content.decode()
    assert "user-7" in shown
    assert "user-8" not in shown
    assert not any("LIKE" in query["sql"] for query in captured)
