"""Reading one row."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import F, QuerySet

from accounts.models import Session
from accounts.selectors import live_session
from accounts.services import SignIn, session_logout
from devpocket.rows import Lookup

pytestmark = pytest.mark.django_db


def test_a_lookup_finds_what_its_query_would(ann: SignIn, ben: SignIn, django_assert_num_queries: Any) -> None:
    written: list[tuple[UUID, UUID]] = []

    def rows(session_id: UUID, user_id: UUID) -> QuerySet[Session]:
        written.append((session_id, user_id))
        named = live_session(session_id).annotate(username=F("user__username"))
        return named.filter(user_id=user_id).only("auth_time")

    lookup = Lookup(rows, "user_id", "session_id")  # in another order than in the SQL
    for one in (ann, ben):
        with django_assert_num_queries(1):
            found = lookup.find(session_id=one.session.pk, user_id=one.user.pk)
            assert found == one.session
            assert found.auth_time == one.session.auth_time
            assert getattr(found, "username", "") == one.user.username
        assert found.get_deferred_fields() >= {"user_id", "revoked_at"}
    assert len(written) == 1
    assert lookup.find(session_id=ann.session.pk, user_id=ben.user.pk) is None
    assert lookup.find(session_id=uuid4(), user_id=ann.user.pk) is None
    session_logout(session=ann.session)
    assert lookup.find(session_id=ann.session.pk, user_id=ann.user.pk) is None
    assert lookup.find(session_id=ben.session.pk, user_id=ben.user.pk) == ben.session
