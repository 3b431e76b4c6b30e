"""Numbered input at the moments when nobody knows what has arrived: sockets are stuck, and clients are elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from environments.tests.sshd import Machine, eventually
from terminals import consumers, numbered, socket_life
from terminals.hub import Hub
from terminals.tests.consumer.served import WAIT_S, Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def acknowledged(socket: Socket, seq: int) -> None:
    await socket.until(lambda: any(frame["type"] == "ack" and frame["seq"] >= seq for frame in socket.sent))


@pytest.fixture
async def move(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], None]]:
    """To another process: another hub, and nothing of the first one's memory. Who is open stays where it is."""
    others: list[Hub] = []

    def move_on() -> None:
        others.append(Hub(hub._pool, resume_s=60))
        for module in (consumers, numbered):
            monkeypatch.setattr(module, "hub", others[-1])

    yield move_on
    for other in others:
        other.close()


async def arrived(hub: Hub, stream: str, text: bytes) -> None:
    """Wait until the machine has had it."""
    found = hub.find(stream)
    assert found is not None
    await eventually(lambda: text in found.replay.since(0)[1])


async def test_a_replaced_socket_ends_though_its_client_takes_nothing(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its phone is out of reach, and TCP would find out in minutes: till then it would count as one of the user's."""
    monkeypatch.setattr(socket_life, "FINISH_LIMIT_S", 0.05)
    async with at() as old:
        stream = (await old.until_sent(type="welcome"))["stream"]["id"]
        old.stall()
        old.say(type="input", data="one\n")
        async with at(f"stream={stream}&offset=0") as new:
            await new.until(lambda: new.text == "one\n")
            async with asyncio.timeout(WAIT_S):
                await old.until_ended()


async def test_a_stuck_socket_still_says_elsewhere_what_it_applied(
    at: Any, machine: Machine, hub: Hub, move: Callable[[], None]
) -> None:
    async with at() as first:
        stream = (await first.until_sent(type="welcome"))["stream"]["id"]
        first.say(type="input", data="one\n", seq=1)
        await acknowledged(first, 1)
        first.stall()
        for seq, word in [(2, "two"), (3, "three")]:  # the acknowledgement of the first of them is stuck
            first.say(type="input", data=f"{word}\n", seq=seq)
            await arrived(hub, stream, word.encode())
        move()
        async with at(f"stream={stream}&offset=0") as second:
            assert (await second.until_sent(type="welcome"))["input_seq"] == 3


async def test_numbers_go_on_from_where_nothing_was_typed(at: Any, machine: Machine, move: Callable[[], None]) -> None:
    async with at() as first:
        stream = (await first.until_sent(type="welcome"))["stream"]["id"]
        first.say(type="input", data="one\n", seq=5)
        await acknowledged(first, 5)
    move()
    async with at(f"stream={stream}&offset=0") as second:
        welcome = await second.until_sent(type="welcome")
        assert welcome["input_seq"] == 5
        move()
        async with at(f"stream={welcome['stream']['id']}&offset=0") as third:
            assert (await third.until_sent(type="welcome"))["input_seq"] == 5
