"""Queries that are asked again and again with other values: their SQL is made once.

Django makes it anew each time, which took longer than all else of a short request (docs/development.md).

    own = FixedQuery(lambda: Environment.objects.filter(owner_id=Given("owner_id", UUIDField())))
    environments = list(own(owner_id=user.pk))

What it gives are the rows that the query set would have given. It may order and follow relations as any, but must be
the same at all times, but for what is `Given`, of which none may be NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Field, Model, QuerySet, Value
from django.db.models.query import ModelIterable
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row", bound=Model)


class Given(Value):
    """In a query set: a value that is given each time it is asked, under `name`."""

    def __init__(self, name: str, output_field: Field[Any, Any]) -> None:
        super().__init__(name, output_field)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "%s", [self]


class FixedQuery(Generic[Row]):
    """`make`: the query set, with `Given` where values are given. It is called when the query is first asked."""

    def __init__(self, make: Callable[[], QuerySet[Row]]) -> None:
        self._make = make

    def __call__(self, **given: Any) -> FixedRows[Row]:
        return FixedRows(self, given)

    @cached_property
    def compiled(self) -> tuple[Any, str, tuple[Any, ...]]:
        """Django's compiler after its work, the SQL that it has made, and the SQL's parameters."""
        compiler: Any = self._make().query.get_compiler(DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([column[0] for column in compiler.select])
        # What it would look for in every column each time. No model of ours has a key of several columns.
        compiler.get_converters, compiler.has_composite_fields = lambda _: converters, lambda _: False
        return compiler, sql, parameters


class FixedRows(Generic[Row]):
    """The rows of a query with its values. As with a query set, each look at them asks the database."""

    def __init__(self, query: FixedQuery[Row], given: dict[str, Any]) -> None:
        self._query, self._given = query, given

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows(""))

    def __getitem__(self, part: slice) -> list[Row]:
        return self._rows(f" LIMIT {int(part.stop - part.start)} OFFSET {int(part.start)}")

    def find_one(self) -> Row | None:
        """The row, for a query that finds at most one."""
        return next(iter(self), None)

    def count(self) -> int:
        connection = connections[DEFAULT_DB_ALIAS]
        _, sql, parameters = self._query.compiled
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM ({sql}) AS counted", self._values(parameters, connection))  # noqa: S608
            return int(cursor.fetchone()[0])

    def _rows(self, end: str) -> list[Row]:
        """`end`: of the SQL."""
        connection = connections[DEFAULT_DB_ALIAS]  # this thread's
        compiler, sql, parameters = self._query.compiled
        if compiler.query.select_for_update and connection.get_autocommit():
            raise TransactionManagementError("Rows can be held in a transaction only.")  # looked at in making SQL, else
        asked = (sql + end, self._values(parameters, connection))
        # The compiler again, but for what it would do a second time; Django's own loop then makes objects of the rows.
        compiler = copy(compiler)
        compiler.connection, compiler.as_sql = connection, lambda: asked
        query = SimpleNamespace(get_compiler=lambda *_, **__: compiler)
        rows = SimpleNamespace(db=DEFAULT_DB_ALIAS, query=query, _known_related_objects={})
        return list(ModelIterable(rows))

    def _values(self, parameters: tuple[Any, ...], connection: Any) -> tuple[Any, ...]:
        return tuple(
            one.output_field.get_db_prep_value(self._given[one.value], connection) if isinstance(one, Given) else one
            for one in parameters
        )
