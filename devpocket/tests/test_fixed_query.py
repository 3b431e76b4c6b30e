"""Queries whose SQL is made once give what the query sets give that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import close_old_connections, models, transaction
from django.db.models.sql.compiler import SQLCompiler

from accounts.models import PlatformKey, Session
from accounts.services import SignIn
from devpocket.fixed_query import FixedQuery, Given

LIMIT_S = 10


def key_of(user_id: Any) -> models.QuerySet[PlatformKey]:
    """With what a query can have: a relation that is followed, a column that is decrypted, one that is left out."""
    rows = PlatformKey.objects.select_related("user").defer("user__password")
    return rows.filter(user_id=user_id).exclude(user__plan="nobody's")


def sessions_of(user_id: Any) -> models.QuerySet[Session]:
    return Session.objects.filter(user_id=user_id).order_by("-created_at")


@pytest.fixture
def key() -> FixedQuery[PlatformKey]:
    return FixedQuery(lambda: key_of(Given("user_id", models.UUIDField())))


@pytest.mark.django_db
def test_it_gives_what_the_query_set_gives_for_each_value(
    ann: SignIn, ben: SignIn, key: FixedQuery[PlatformKey], django_assert_num_queries: Callable[[int], Any]
) -> None:
    for owner in (ann, ben):
        (wanted,) = key_of(owner.user.pk)
        with django_assert_num_queries(1):
            (found,) = key(user_id=owner.user.pk)
            assert found.user.email == owner.user.email
        assert found.private_key.startswith("-----BEGIN")
        for one, other in ((found, wanted), (found.user, wanted.user)):
            columns, others = dict(vars(one)), dict(vars(other))
            assert (one._state.db, one._state.adding) == (other._state.db, other._state.adding)
            assert {**columns, "_state": None} == {**others, "_state": None}
    assert list(key(user_id=ann.session.pk)) == []
    assert key(user_id=ann.session.pk).find_one() is None


@pytest.mark.django_db
def test_its_sql_is_made_once(
    ann: SignIn, ben: SignIn, key: FixedQuery[PlatformKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    list(key(user_id=ann.user.pk))
    monkeypatch.delattr(SQLCompiler, "as_sql")
    assert [one.user_id for one in key(user_id=ben.user.pk)] == [ben.user.pk]


@pytest.mark.django_db
def test_a_part_of_it_and_how_many_there_are(ann: SignIn, ben: SignIn) -> None:
    for _ in range(3):
        session = Session.objects.get(pk=ann.session.pk)
        session.pk = None
        session.save(force_insert=True)
    rows = FixedQuery(lambda: sessions_of(Given("user_id", models.UUIDField())))(user_id=ann.user.pk)
    wanted = list(sessions_of(ann.user.pk))
    assert (len(wanted), rows.count()) == (4, 4)
    assert [one.pk for one in rows[1:3]] == [one.pk for one in wanted[1:3]]
    assert [one.pk for one in rows[0:100]] == [one.pk for one in wanted]


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_over_its_own_connection(ann: SignIn, key: FixedQuery[PlatformKey]) -> None:
    def ask() -> list[Any]:
        try:
            return [one.user_id for one in key(user_id=ann.user.pk)]
        finally:
            close_old_connections()

    assert ask() == [ann.user.pk]
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(ask).result(LIMIT_S) == [ann.user.pk]


@pytest.mark.django_db(transaction=True)
def test_rows_are_held_in_a_transaction_only(ann: SignIn) -> None:
    held = FixedQuery(lambda: Session.objects.select_for_update().filter(pk=Given("pk", models.UUIDField())))
    with transaction.atomic():
        assert len(list(held(pk=ann.session.pk))) == 1
    with pytest.raises(transaction.TransactionManagementError):
        list(held(pk=ann.session.pk))
