"""Who gets a socket: from where, and how many at a time."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from accounts.services import SignIn
from terminals import slots

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("allowed", "origin", "welcomed"),
    [
        ([], None, True),
        (["https://app.example.org"], b"https://app.example.org", True),
        (["*"], b"https://anywhere.example", True),
        ([], b"https://app.example.org", False),
        (["https://app.example.org"], b"https://app.example.org.evil.example", False),
        (["https://app.example.org"], b"null", False),
    ],
)
async def test_browsers_come_from_allowed_origins_only(
    at: Any, settings: Any, allowed: list[str], origin: bytes | None, welcomed: bool
) -> None:
    settings.WS_ALLOWED_ORIGINS = allowed
    async with at(headers=[(b"origin", origin)] if origin else []) as socket:
        if welcomed:
            await socket.until_sent(type="welcome")
        else:
            assert await socket.until_closed() == (1008, "Authentication failed")
            assert [frame["code"] for frame in socket.sent] == ["authentication_failed"]


def test_a_slot_is_its_holders_alone(ann: SignIn, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    first, second = slots.slot_take(str(ann.user.pk), "one"), slots.slot_take(str(ann.user.pk), "two")
    assert first is not None
    assert second is not None
    assert slots.slot_take(str(ann.user.pk), "three") is None
    slots.slot_free(first, "two")
    assert slots.slot_take(str(ann.user.pk), "three") is None
    slots.slot_free(first, "one")
    assert slots.slot_take(str(ann.user.pk), "three") == first
    slots.slot_renew(first, "one")
    slots.slot_free(first, "three")
    slots.slot_renew(second, "two")
    cache.delete(second)  # ran out
    slots.slot_renew(second, "two")
    assert cache.get(second) == "two"
