"""Tickets for WebSockets: given to who is signed in, good for half a minute, once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import SignIn, session_revoke
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from terminals import tickets
from terminals.tickets import ticket_issue, ticket_redeem

TICKETS = "/api/v1/ws/tickets"

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticket(ann: SignIn) -> str:
    return ticket_issue(session_id=ann.session.pk)


@pytest.mark.parametrize("path", [TICKETS, f"{TICKETS}/"])
@pytest.mark.parametrize("body", [{}, {"data": "not JSON", "content_type": "text/plain"}])
def test_whoever_is_signed_in_gets_one(path: str, body: dict[str, str], ann: SignIn, client_of: Any) -> None:
    answer = client_of(ann).post(path, **body)
    shown = wire.decode(answer)
    assert answer.status_code == 201
    wire.check(shown, {"ticket": wire.text, "expires_in": wire.whole})
    assert shown["expires_in"] == 30
    assert answer["Cache-Control"] == "no-store"
    session = ticket_redeem(shown["ticket"])
    assert session == ann.session
    assert session.user == ann.user


def test_nobody_else_does(ann: SignIn) -> None:
    wire.check_refusal(APIClient().post(TICKETS), 401, "not_authenticated")
    ticket = ticket_issue(session_id=ann.session.pk)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {ticket}")  # it opens WebSockets, and none of the API
    wire.check_refusal(client.post(TICKETS), 401, "token_invalid")
    assert ticket_redeem(ticket) == ann.session


def test_there_is_no_list_of_them(ann: SignIn, client_of: Any) -> None:
    wire.check_refusal(client_of(ann).get(TICKETS), 405, "method_not_allowed")


def test_a_ticket_is_good_once(ticket: str, ann: SignIn) -> None:
    assert ticket_redeem(ticket) == ann.session
    assert [ticket_redeem(ticket) for _ in range(3)] == [None] * 3


def test_each_caller_has_their_own(ann: SignIn, ben: SignIn) -> None:
    issued = [(ticket_issue(session_id=one.session.pk), one.session) for one in (ann, ben, ann)]
    assert len({ticket for ticket, _ in issued}) == 3
    assert [ticket_redeem(ticket) for ticket, _ in reversed(issued)] == [session for _, session in reversed(issued)]


@pytest.mark.parametrize("text", ["x", "x" * 100_000, "\ud800", "a\0b", "*", "ticket:1"])
def test_what_is_no_ticket_opens_nothing(text: str, ticket: str, ann: SignIn) -> None:
    for wrong in ("", text, ticket + text, ticket[:-1]):
        assert ticket_redeem(wrong) is None
    assert ticket_redeem(ticket) == ann.session


@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_come_at_once_one_is_let_in(ann: SignIn) -> None:
    for _ in range(5):
        ticket = ticket_issue(session_id=ann.session.pk)
        found = in_parallel(lambda number, ticket=ticket: ticket_redeem(ticket), count=20)
        assert [session for session in found if session is not None] == [ann.session]


async def test_a_ticket_ends_by_itself(transactional_db: None, ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "TICKET_LIFE_S", 1)
    began = time.monotonic()
    ticket = await asyncio.to_thread(ticket_issue, session_id=ann.session.pk)
    async with asyncio.timeout(5):
        while await asyncio.to_thread(cache.has_key, tickets._key(ticket)):  # noqa: ASYNC110 -- a cache tells nobody
            await asyncio.sleep(0.02)
    assert time.monotonic() - began >= 0.9
    assert await asyncio.to_thread(ticket_redeem, ticket) is None


def test_the_ticket_of_a_session_that_was_signed_out_opens_nothing(ticket: str, ann: SignIn) -> None:
    session_revoke(user=ann.user, session_id=ann.session.pk)
    assert ticket_redeem(ticket) is None


def test_nor_does_that_of_a_closed_account(ticket: str, ann: SignIn) -> None:
    User.objects.filter(pk=ann.user.pk).update(is_active=False)
    assert ticket_redeem(ticket) is None


def test_who_reads_the_cache_can_open_nothing(ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[Any, ...]] = []
    keep = cache.set
    monkeypatch.setattr(cache, "set", lambda *args, **more: (kept.append((args, more)), keep(*args, **more)))
    ticket = ticket_issue(session_id=ann.session.pk)
    assert len(kept) == 1
    assert ticket not in repr(kept)
    assert str(ann.session.pk) in repr(kept)
