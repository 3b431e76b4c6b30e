"""Two server processes on one PostgreSQL and one Redis: what is true of one is true of both (design, section 8)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.endurance.cuts import run
from terminals.tests.endurance.world import kill
from terminals.tests.homes import REFUSED, Home, act, claims_of, manage, refusal, settled
from terminals.tests.phone import Phone, eventually

NEEDED = ("DATABASE_URL", "REDIS_URL")
HEARD_S = 5  # by then what happens at one is heard at the other
SLOT_S = 90  # contract 9.6: by then a killed process's slots are free

pytestmark = pytest.mark.skipif(
    not all(os.environ.get(name) for name in NEEDED), reason="two processes share a state in PostgreSQL and Redis only"
)
Pair = tuple[Server, Server]


@pytest.fixture(scope="module")
def pair(localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Server.start(localcloud.client_url, tmp_path_factory.mktemp("one")) as one:
        two = one.sibling(tmp_path_factory.mktemp("two"))
        try:
            yield one, two
        finally:
            kill(two)


@pytest.fixture
async def home(pair: Pair) -> AsyncIterator[Home]:
    """A user of the test's own, for limits count by user."""
    home = await settled(pair[0])
    yield home
    await act(pair[0], home, "DELETE", f"/environments/{home.environment_id}")


@asynccontextmanager
async def one_at_each(pair: Pair, home: Home, token: str = "") -> AsyncIterator[list[Phone]]:
    async with (
        Phone.in_use(pair[0], home.environment_id, token or home.token) as one,
        Phone.in_use(pair[1], home.environment_id, token or home.token) as two,
    ):
        yield [one, two]


async def until_closed(phones: list[Phone]) -> list[tuple[int, str]]:
    async with asyncio.timeout(HEARD_S):
        return [await phone.until_closed() for phone in phones]


async def test_sockets_are_counted_over_both(pair: Pair, home: Home) -> None:
    async with AsyncExitStack() as stack:
        phones = [
            await stack.enter_async_context(Phone.in_use(pair[number % 2], home.environment_id, home.token))
            for number in range(10)
        ]
        for server in pair:
            told = await refusal(server, home.environment_id, f"token={home.token}")
            assert told == REFUSED["too_many_connections"]
        await phones[0].connection.close()

        async def is_admitted() -> bool:
            """At the other one."""
            async with Phone.at(pair[1], home.environment_id, f"token={home.token}") as phone:
                return bool((await phone.next())["type"] == "welcome")

        await eventually(is_admitted)


async def test_signing_out_closes_both(pair: Pair, home: Home) -> None:
    def log_in() -> str:
        body = {"username_or_email": claims_of(home.token)["username"], "password": "Correct-Horse-7"}
        return str(pair[0].ask("POST", "/auth/login", body).json()["access_token"])

    token = await asyncio.to_thread(log_in)
    async with one_at_each(pair, home, token) as phones, one_at_each(pair, home) as others:
        assert await act(pair[0], home, "POST", "/auth/logout", token) in (200, 204)
        assert await until_closed(phones) == [(1008, "Session revoked")] * 2
        assert [phone.frames[-1]["code"] for phone in phones] == ["session_revoked"] * 2
        for phone in others:
            await phone.run("echo still-$((1+1))", "still-2")


async def test_stopping_closes_both(pair: Pair, home: Home) -> None:
    async with one_at_each(pair, home) as phones:
        assert await act(pair[1], home, "POST", f"/environments/{home.environment_id}/stop") == 200
        assert await until_closed(phones) == [(1008, "Environment not running")] * 2
        assert {phone.frames[-1]["status"] for phone in phones} <= {"stopping", "stopped"}


async def test_an_operator_reaches_a_socket_of_any_process(pair: Pair, home: Home) -> None:
    async with one_at_each(pair, home) as phones:
        await asyncio.to_thread(
            manage,
            pair[0],
            "from terminals.models import OpenTerminal\nfrom terminals.presence import terminal_terminate\n"
            f"rows = OpenTerminal.objects.filter(environment_id={home.environment_id!r})\n"
            "assert len({row.process for row in rows}) == 2\n"
            "for row in rows: terminal_terminate(terminal_id=row.pk, actor_id=row.user_id)",
        )
        assert await until_closed(phones) == [(1008, "Session revoked")] * 2


async def test_a_ticket_opens_one_socket_in_all(pair: Pair, home: Home) -> None:
    for issuer in pair:
        answer = await asyncio.to_thread(issuer.ask, "POST", "/ws/tickets", token=home.token)
        query = f"ticket={answer.json()['ticket']}"

        async def first(server: Server, query: str = query) -> str:
            async with Phone.at(server, home.environment_id, query) as phone:
                frame = await phone.next()
                return str(frame.get("code", frame["type"]))

        told = await asyncio.gather(*(first(server) for server in (*pair, *pair)))
        assert sorted(told) == [*["authentication_failed"] * 3, "welcome"]


async def test_a_guest_is_told_that_the_link_is_revoked(pair: Pair, home: Home) -> None:
    path = f"/environments/{home.environment_id}/terminal-shares"
    share = (await asyncio.to_thread(pair[0].ask, "POST", path, {}, token=home.token)).json()
    async with AsyncExitStack() as stack:
        guests = []
        for server in pair:
            guest = await stack.enter_async_context(Phone.at(server, home.environment_id, f"share={share['token']}"))
            await guest.greet()
            guests.append(guest)
        assert await act(pair[0], home, "DELETE", f"{path}/{share['id']}") == 204
        assert {code for code, _ in await until_closed(guests)} == {1008}
        assert [guest.frames[-1]["code"] for guest in guests] == ["share_ended"] * 2


@pytest.mark.timeout(120)
async def test_input_comes_once_to_whichever_process_it_is_sent(pair: Pair, home: Home, tmp_path: Path) -> None:
    outcome = await run(list(pair), home, tmp_path, cuts=4, lines=150, rng=random.Random(6))
    assert outcome.told["reattached"] > 0
    assert outcome.is_good, str(outcome)
    assert "Traceback" not in "".join(server.process.output() for server in pair)


async def test_who_comes_back_to_the_other_leaves_nothing_open(pair: Pair, home: Home) -> None:
    async with Phone.in_use(pair[0], home.environment_id, home.token) as old:
        await old.send(type="input", data="kept=$$; echo ready-$((1+1))\r", seq=4)
        await old.until_type("ack")
        await old.until_shown("ready-2")
        query = f"stream={old.stream['id']}&offset={old.stream['offset']}"
        async with Phone.in_use(pair[1], home.environment_id, home.token, query) as new:
            assert new.welcome["input_seq"] == 4
            assert new.welcome["stream"]["id"] != old.stream["id"]
            assert await until_closed([old]) == [(1000, "normal")]
            assert old.frames[-1]["code"] == "replaced"
            await new.send(type="input", data="echo twice-$((1+1))\r", seq=4)
            await new.send(type="input", data='[ "$kept" = "$$" ] && echo same-$((1+1))\r', seq=5)
            await new.until_shown("same-2")
            assert "twice" not in "".join(frame.get("data", "") for frame in new.frames)


async def test_slots_of_a_killed_process_end_by_themselves(pair: Pair, home: Home) -> None:
    """Without waiting for it: `terminals.tests.endurance.restarts` does."""

    def ends() -> list[Any]:
        with redis.from_url(pair[1].environment["REDIS_URL"]) as connection:
            keys = list(connection.scan_iter(f"*ws-slot:{claims_of(home.token)['sub']}:*"))
            return [connection.ttl(key) for key in keys]

    async with one_at_each(pair, home):
        await asyncio.to_thread(kill, pair[1])
        try:
            left_s = await asyncio.to_thread(ends)
            assert len(left_s) == 2
            assert all(0 < left <= SLOT_S for left in left_s)
        finally:
            await asyncio.to_thread(pair[1].restart)
