"""Refusals: accepted, told, closed with 1008 (contract 9.1 and 9.4)."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest

from devpocket.testing.server import Server
from terminals.tests.homes import NOBODY, REFUSED, Home, claims_of, numbers, refusal
from terminals.tests.phone import Phone


def resigned(token: str, key: str = "0123456789abcdef0123456789abcdef", **changes: Any) -> str:
    return jwt.encode({**claims_of(token), **changes}, key, algorithm="HS256")


async def test_bad_tokens_are_refused(server: Server, home: Home) -> None:
    bad = {
        "none": "",
        "empty": "token=",
        "garbage": "token=abc.def.ghi",
        "not ASCII": "token=%F0%9F%99%82",
        "refresh": f"token={home.refresh_token}",
        "expired": f"token={resigned(home.token, exp=int(time.time()) - 60)}",
        "of another key": f"token={resigned(home.token, key='x' * 32)}",
        "of no session": f"token={resigned(home.token, sid=NOBODY)}",
        "of another user": f"token={resigned(home.token, sub=NOBODY)}",
        "cut off": f"token={home.token[:-2]}",
    }
    for name, query in bad.items():
        assert await refusal(server, home.environment_id, query) == REFUSED["authentication_failed"], name


async def test_what_is_not_ones_own_is_not_found(server: Server, home: Home) -> None:
    stranger = await asyncio.to_thread(server.sign_up, f"stranger{next(numbers)}")
    assert await refusal(server, home.environment_id, f"token={stranger}") == REFUSED["environment_not_found"]
    for environment_id in (NOBODY, "nonsense", "1", "%00", "x" * 300):
        assert await refusal(server, environment_id, f"token={home.token}") == REFUSED["environment_not_found"]


async def test_the_token_is_looked_at_first(server: Server, home: Home) -> None:
    assert await refusal(server, "nonsense", "token=bad") == REFUSED["authentication_failed"]


async def test_the_eleventh_connection_is_refused_until_one_is_closed(server: Server, home: Home) -> None:
    query = f"token={home.token}"
    async with AsyncExitStack() as stack:
        phones = [
            await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token)) for _ in range(10)
        ]
        assert await refusal(server, home.environment_id, query) == REFUSED["too_many_connections"]
        await phones[0].connection.close()
        phones[1].vanish()
        async with asyncio.timeout(5):
            for _ in range(2):
                while True:
                    again = await stack.enter_async_context(Phone.at(server, home.environment_id, query))
                    if (await again.next())["type"] == "welcome":
                        break
        assert await refusal(server, home.environment_id, query) == REFUSED["too_many_connections"]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_token_comes_by_query_header_or_subprotocol(server: Server, home: Home, slash: str) -> None:
    where = home.environment_id + slash
    header = {"Authorization": f"Bearer {home.token}"}
    async with Phone.at(server, where, f"token={home.token}") as phone:
        await phone.greet()
    async with Phone.at(server, where, additional_headers=header) as phone:
        await phone.greet()
    async with Phone.at(server, where, subprotocols=["bearer", home.token]) as phone:
        await phone.greet()
        assert phone.connection.subprotocol == "bearer"
    async with Phone.at(
        server, where, f"token={home.token}", additional_headers={"Authorization": "Bearer x"}
    ) as phone:
        await phone.greet()
    assert await refusal(server, where, "token=x", additional_headers=header) == REFUSED["authentication_failed"]


async def test_an_unknown_address_is_told(server: Server) -> None:
    async with Phone.at(server, "x", path="nothing") as phone:
        assert (await phone.until_closed())[0] == 1008
        assert phone.frames[0]["code"] == "not_found"
