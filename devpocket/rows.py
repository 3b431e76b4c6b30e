"""Reading one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet, UUIDField

Row = TypeVar("Row", bound=Model)
RawManager = Callable[[str, list[object]], Iterable[Row]]


def find_one(rows: QuerySet[Row]) -> Row | None:
    """The row, for a query that finds at most one. `first()` would have it sorted, which for a table with many columns
    is a third of what writing the query costs (`make load`, profiled).
    """
    return next(iter(rows.order_by()), None)


class Lookup(Generic[Row]):
    """A query that finds at most one row by ids, asked so often that its SQL is written once: Django does it anew each
    time, which for one with a subquery takes twice the CPU of asking and of making the row (`make load`, profiled).

    `rows(**ids)` makes the query. It is called once, with ids that stand in for others, so it must not look at them.
    """

    def __init__(self, rows: Callable[..., QuerySet[Row]], *ids: str) -> None:
        self._rows, self._ids = rows, ids
        self._written: tuple[RawManager[Row], str, list[tuple[str, object]]] | None = None

    def find(self, **ids: UUID) -> Row | None:
        """What isn't a column of its table comes as the database gives it: a boolean may be a number."""
        self._written = self._written or self._write()
        raw, sql, parameters = self._written
        values = [_stored(ids[name]) if name else constant for name, constant in parameters]
        return next(iter(raw(sql, values)), None)

    def _write(self) -> tuple[RawManager[Row], str, list[tuple[str, object]]]:
        """With the parameters in the SQL's order: the name of an id, or "" and a constant."""
        stand_ins = {name: UUID(int=number) for number, name in enumerate(self._ids, start=1)}
        rows = self._rows(**stand_ins).order_by()
        sql, parameters = rows.query.sql_with_params()
        names = {_stored(stand_in): name for name, stand_in in stand_ins.items()}
        return rows.model._default_manager.raw, sql, [(names.get(one, ""), one) for one in parameters]


_ID = UUIDField()


def _stored(an_id: UUID) -> object:
    return _ID.get_db_prep_value(an_id, connection, prepared=True)
