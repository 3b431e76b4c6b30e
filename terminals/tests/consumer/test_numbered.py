"""Input with numbers is applied once, in order, whichever socket or process it comes to; and how much may be said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer

from environments.models import Environment
from environments.tests.sshd import Machine, eventually
from terminals import consumers, numbered, sockets
from terminals.hub import Hub
from terminals.tests.consumer.served import Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def acknowledged(socket: Socket, seq: int) -> None:
    await socket.until(lambda: any(frame["type"] == "ack" and frame["seq"] >= seq for frame in socket.sent))


async def test_what_was_applied_is_not_applied_again(at: Any, machine: Machine) -> None:
    async with at() as socket:
        assert (await socket.until_sent(type="welcome"))["input_seq"] == 0
        for seq, data in [(1, "one\n"), (2, "two\n"), (1, "one\n"), (2, "two\n"), (3, "three\n"), (0, "none\n")]:
            socket.say(type="input", data=data, seq=seq)
        await acknowledged(socket, 3)
        await socket.until(lambda: "none" in socket.text)
        assert socket.text == "one\ntwo\nthree\nnone\n"
        socket.say(type="input", data="two\n", seq=2)
        acks = socket.types.count("ack")
        await socket.until(lambda: socket.types.count("ack") > acks)  # its client hears once more what it missed
        assert socket.sent[-1] == {"type": "ack", "seq": 3}


@pytest.mark.parametrize("seq", [-1, 1.5, "1", True, 2**53, None])
async def test_a_bad_number_is_told_and_nothing_typed(at: Any, machine: Machine, seq: object) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="input", data="bad\n", seq=seq)
        assert (await socket.until_sent(type="error"))["code"] == "invalid_message"
        socket.say(type="input", data="good\n", seq=1)
        await acknowledged(socket, 1)
        await socket.until(lambda: "good" in socket.text)
        assert socket.text == "good\n"


async def test_a_returning_client_hears_what_was_applied(at: Any, machine: Machine) -> None:
    async with at() as socket:
        stream = (await socket.until_sent(type="welcome"))["stream"]["id"]
        socket.say(type="input", data="one\n", seq=7)
        await acknowledged(socket, 7)
    async with at(f"stream={stream}&offset=0") as socket:
        assert (await socket.until_sent(type="welcome"))["input_seq"] == 7
        socket.say(type="input", data="one\n", seq=7)
        socket.say(type="input", data="two\n", seq=8)
        await socket.until(lambda: socket.text == "one\ntwo\n")


async def test_what_was_missed_is_not_spoken_for_by_what_comes_after(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "WELCOME_LIMIT_S", 0.05)
    machine.may_open.clear()
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="input", data="one\n", seq=1)
        await socket.until_sent(code="terminal_not_ready")
        machine.may_open.set()
        await socket.until_sent(code="reattached")
        socket.say(type="input", data="two\n", seq=2)  # was under way already
        socket.say(type="input", data="one\n", seq=1)
        socket.say(type="input", data="two\n", seq=2)
        await acknowledged(socket, 2)
        await socket.until(lambda: socket.text == "one\ntwo\n")


async def test_a_lost_connection_to_the_machine_loses_no_number(at: Any, machine: Machine) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="input", data="one\n", seq=1)
        await acknowledged(socket, 1)
        machine.break_connections()
        assert (await socket.until_sent(code="reattached"))["input_seq"] == 1
        socket.say(type="input", data="one\n", seq=1)
        socket.say(type="input", data="two\n", seq=2)
        await socket.until(lambda: socket.text == "one\ntwo\n")


@pytest.mark.parametrize("is_open", [True, False], ids=["half open there", "closed there"])
async def test_another_process_goes_on_where_the_first_stopped(
    at: Any, machine: Machine, hub: Hub, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    other = Hub(hub._pool, resume_s=60)

    def move() -> None:  # to another process: another hub, and nothing of the first one's memory
        for module in (consumers, numbered):
            monkeypatch.setattr(module, "hub", other)

    async with at() as first:
        stream = (await first.until_sent(type="welcome"))["stream"]["id"]
        first.say(type="input", data="one\n", seq=1)
        await acknowledged(first, 1)
        if is_open:
            move()
            async with at(f"stream={stream}&offset=0") as second:
                welcome = await second.until_sent(type="welcome")
                assert await first.until_closed() == (1000, "normal")
                assert first.sent[-1]["code"] == "replaced"
                assert (welcome["input_seq"], welcome["stream"]["id"] != stream) == (1, True)
                first.say(type="input", data="late\n", seq=2)
                second.say(type="input", data="two\n", seq=2)
                await second.until(lambda: second.text == "two\n")
    if not is_open:
        move()
        async with at(f"stream={stream}&offset=0") as second:
            assert (await second.until_sent(type="welcome"))["input_seq"] == 1
    other.close()
    hub.close()


async def test_numbers_are_their_streams_alone(at: Any, machine: Machine) -> None:
    async with at("session=a") as socket:
        stream = (await socket.until_sent(type="welcome"))["stream"]["id"]
        socket.say(type="input", data="one\n", seq=1)
        await acknowledged(socket, 1)
    async with at(f"session=b&stream={stream}&offset=0") as socket:
        assert (await socket.until_sent(type="welcome"))["input_seq"] == 0


async def test_a_shell_that_ended_meanwhile_is_told(at: Any, machine: Machine, hub: Hub) -> None:
    async with at() as socket:
        stream = (await socket.until_sent(type="welcome"))["stream"]["id"]
        socket.say(type="input", data="exit 3\n")
    await eventually(lambda: hub.find(stream) is None)
    async with at(f"stream={stream}&offset=0") as socket:
        assert (await socket.until_sent(code="reattached"))["is_new_session"] is True
    async with at("stream=nonsense&offset=0") as socket:
        assert (await socket.until_sent(code="reattached"))["is_new_session"] is False


# --- Limits


async def test_too_much_input_is_delayed_told_once_and_all_of_it_arrives(
    at: Any, machine: Machine, settings: Any
) -> None:
    settings.WS_INPUT_BURST, settings.WS_INPUT_RATE = 20, 200
    async with at() as socket:
        await socket.until_sent(type="welcome")
        began = asyncio.get_running_loop().time()
        for number in range(120):
            socket.say(type="input", data=f"{number}\n")
        await socket.until(lambda: "119" in socket.text)
        assert socket.text == "".join(f"{number}\n" for number in range(120))
        assert asyncio.get_running_loop().time() - began >= 0.45
        told = [frame for frame in socket.sent if frame["type"] == "error"]
        assert [(frame["code"], frame["retry_after"]) for frame in told] == [("rate_limited", 1)]


async def test_a_dropped_resize_is_made_up_for(at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        for number in range(130):
            socket.say(type="resize", cols=100 + number, rows=30)
        await socket.until_sent(code="rate_limited")
        socket.say(type="input", data="size\n")
        await socket.until(lambda: "229 x 30" in socket.text or "x 30" in socket.text)
        while "229 x 30" not in socket.text:
            await asyncio.sleep(0.05)
            socket.say(type="input", data="size\n")
        assert socket.types.count("error") == 1


async def test_too_many_pings_are_dropped_and_told_once(at: Any, machine: Machine) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        for _ in range(300):
            socket.say(type="ping")
        socket.say(type="input", data="hello\n")
        await socket.until(lambda: "hello" in socket.text)
        assert 100 <= socket.types.count("pong") <= 110
        assert [frame["code"] for frame in socket.sent if frame["type"] == "error"] == ["rate_limited"]


async def test_who_does_not_stop_is_closed(at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminals.limits.EXCESS_LIMIT_S", 0.05)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        for _ in range(300):
            socket.say(type="ping")
        await asyncio.sleep(0.1)
        for _ in range(10):
            socket.say(type="ping")
        assert await socket.until_closed() == (1008, "Rate limit exceeded")
        assert socket.sent[-1]["code"] == "rate_limited"


async def test_nudges_of_no_kind_are_passed_over(at: Any, home: Environment, machine: Machine) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "no.such.thing"})
        socket.say(type="input", data="hello\n")
        await socket.until(lambda: "hello" in socket.text)
