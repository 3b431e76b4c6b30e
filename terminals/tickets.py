"""Tickets: what opens one WebSocket soon, so that no access token needs to be in a URL and its logs. Sync.

The cache has them under their SHA-256, so that whoever can read it opens nothing with what they find.
"""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

from django.core.cache import cache

from accounts.models import Session
from accounts.selectors import find_live_session

TICKET_LIFE_S = 30
TICKET_BYTES = 32


def ticket_issue(*, session_id: UUID) -> str:
    """A text for `?ticket=`: within TICKET_LIFE_S it opens one WebSocket, as whoever is signed in as `session_id`."""
    ticket = secrets.token_urlsafe(TICKET_BYTES)
    cache.set(_key(ticket), str(session_id), timeout=TICKET_LIFE_S)
    return ticket


def ticket_redeem(ticket: str) -> Session | None:
    """The session, its user loaded, that the ticket was given to. None: unknown, too old, used, or signed out since."""
    key = _key(ticket)
    session_id = cache.get(key)
    # Of all who found it, deleting succeeds for one: LocMemCache deletes under its lock, Redis tells DEL's count.
    if session_id is None or not cache.delete(key):
        return None
    return find_live_session(session_id)


def _key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode(errors='replace')).hexdigest()}"
