"""What every list of the admin starts from: fast with 100,000 rows, and nothing is done by those who may only look."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.cache import cache
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Field, Model, Q, QuerySet, UUIDField
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property

COUNTED_MAX = 10_000  # rows: beyond it nobody leafs through, and counting takes longer than the page
VALUES_MAX, VALUES_KEPT_S = 100, 60


class CappedPaginator(Paginator):
    """Counts to COUNTED_MAX + 1, which stands for "more than that"."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[: COUNTED_MAX + 1].count())  # type: ignore[union-attr]


class ValuesFilter(admin.AllValuesFieldListFilter):
    """By a column's values, which are looked for once a minute: that takes reading the whole table."""

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        key = f"admin-values:{model._meta.label_lower}:{field_path}"
        values = cache.get(key)
        if values is None:
            values = sorted(value for value in self.lookup_choices.order_by()[:VALUES_MAX] if value not in (None, ""))
            cache.set(key, values, VALUES_KEPT_S)
        self.lookup_choices = values


class OperatorAdmin(admin.ModelAdmin):
    """Lists are sorted by what an index sorts, and count no further than they have to.

    `list_select_related` must name what the columns show: a test looks for queries that come with each row.
    """

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 200

    def get_sortable_by(self, request: HttpRequest) -> list[str]:
        """Of the columns, those that lead an index."""
        indexed = {field.name for field in self.model._meta.fields if _is_indexed(field)}
        indexed |= {index.fields[0].lstrip("-") for index in self.model._meta.indexes if index.fields}
        return [name for name in self.get_list_display(request) if name in indexed]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """What an action does and what the log says of it come about together, or not at all."""
        with transaction.atomic():
            return super().response_action(request, queryset)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [name for name in self.search_fields if not self._is_id(name)]

    def get_search_results(
        self, request: HttpRequest, rows: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An id is looked up by its index, whole; as a part of other text it would be compared row by row.

        One that no row has may be an id of the cloud's, which are texts here.
        """
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, rows, search_term)
        names = [name for name in self.search_fields if self._is_id(name)]
        found = rows.filter(reduce(or_, (Q(**{name: wanted}) for name in names))) if names else rows.none()
        return (found, False) if found.exists() else super().get_search_results(request, rows, search_term)

    def _is_id(self, path: str) -> bool:
        """Also for what points to such a row."""
        column = _column(self.model, path.lstrip("=^@"))
        return isinstance(getattr(column, "target_field", column), UUIDField)


def _is_indexed(field: Field[Any, Any]) -> bool:
    return bool(field.primary_key or field.unique or field.db_index)


def _column(model: type[Model], path: str) -> Field[Any, Any]:
    *relations, name = path.split("__")
    for relation in relations:
        model = model._meta.get_field(relation).related_model  # type: ignore[assignment]
    return model._meta.get_field(name)  # type: ignore[return-value]
