"""Who gets a socket: from where, and how many at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.cache import cache

from accounts.services import SignIn
from environments.tests.sshd import eventually
from terminals import consumers, slots

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
    owner, first, second = str(ann.user.pk), *(f"ws-slot:{ann.user.pk}:{number}" for number in range(2))
    assert slots.slot_take(owner, "one")
    assert slots.slot_take(owner, "two")
    assert not slots.slot_take(owner, "three")
    slots.slot_free("nobody")
    assert cache.get_many([first, second]) == {first: "one", second: "two"}
    slots.slot_free("one")
    assert slots.slot_take(owner, "three")
    slots.slot_renew("one")  # it has none any more
    assert cache.get(first) == "three"
    cache.delete(second)  # ran out
    slots.slot_renew("two")
    assert cache.get(second) == "two"
    cache.set(second, "elsewhere")  # ran out, and somebody else was faster
    slots.slot_free("two")
    assert cache.get(second) == "elsewhere"
    slots.slot_free("three")


async def test_a_slot_is_free_before_all_else_is_cleaned_up(
    at: Any, ann: SignIn, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WS_CONNECTIONS_PER_USER = 1
    is_cleaned_up = asyncio.Event()
    leave = consumers.TerminalConsumer.leave

    async def slowly(socket: consumers.TerminalConsumer) -> None:
        await leave(socket)
        await is_cleaned_up.wait()

    async with at() as first:
        await first.until_sent(type="welcome")
        monkeypatch.setattr(consumers.TerminalConsumer, "leave", slowly)
        first.vanish()
        await eventually(lambda: cache.get(f"ws-slot:{ann.user.pk}:0") is None)
        async with at() as second:
            await second.until_sent(type="welcome")
            assert not first.task.done()
            is_cleaned_up.set()
