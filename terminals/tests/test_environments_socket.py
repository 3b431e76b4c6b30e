"""The environments' WebSocket of the real server: an environment's life, and another process that changes it."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import pytest

from devpocket.testing.server import Server
from environments.lifecycle import Phase
from terminals.tests.homes import REFUSED, act, numbers, settle, settled
from terminals.tests.phone import Phone


async def test_a_life(server: Server) -> None:
    token = await asyncio.to_thread(server.sign_up, f"lister{next(numbers)}")
    ticket = (await asyncio.to_thread(server.ask, "POST", "/ws/tickets", token=token)).json()["ticket"]
    async with Phone.at(server, "", f"ticket={ticket}", path="environments") as phone:
        welcome = await phone.next()
        assert (welcome["type"], welcome["environments"]) == ("welcome", [])
        environment_id = await asyncio.to_thread(server.create, token, "From a phone")

        def is_running(shown: dict[str, object]) -> bool:
            return shown["phase"] == "running" and shown["installation_completed"] is True

        await phone.until(lambda frame: frame["type"] == "environment" and is_running(frame["environment"]))
        told = [frame["environment"] for frame in phone.frames[1:]]
        assert {shown["id"] for shown in told} == {environment_id}
        phases = list(dict.fromkeys(shown["phase"] for shown in told))
        assert phases == sorted(phases, key=list(Phase).index)  # one that passes quickly may be left out
        assert len(phases) > 1
        assert not any(before == after for before, after in itertools.pairwise(told))
        answer = await asyncio.to_thread(server.ask, "DELETE", f"/environments/{environment_id}", token=token)
        assert answer.status_code == 204
        removed = await phone.until(lambda frame: frame["type"] == "environment_removed")
        assert removed["environment_id"] == environment_id
        await phone.send(type="ping")
        assert (await phone.next())["type"] == "pong"


async def test_tokens_come_as_with_the_terminal(server: Server) -> None:
    home = await settle(server)
    header = {"Authorization": f"Bearer {home.token}"}
    async with Phone.at(server, "", path="environments", additional_headers=header) as phone:
        assert (await phone.next())["environments"][0]["id"] == home.environment_id
    async with Phone.at(server, "", path="environments", subprotocols=["bearer", home.token]) as phone:
        assert (await phone.next())["type"] == "welcome"
        assert phone.connection.subprotocol == "bearer"
    async with Phone.at(server, "", "token=x", path="environments") as phone:
        code, reason = await phone.until_closed()
        assert ([frame["code"] for frame in phone.frames], code, reason) == REFUSED["authentication_failed"]


@pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason="processes hear of one another over Redis")
@pytest.mark.timeout(120)
async def test_what_another_process_changes_is_told(server: Server, tmp_path: Path) -> None:
    home = await settled(server)
    other = await asyncio.to_thread(server.sibling, tmp_path)
    try:
        async with Phone.at(other, "", f"token={home.token}", path="environments") as phone:
            assert (await phone.next())["environments"][0]["phase"] == "running"
            assert await act(server, home, "POST", f"/environments/{home.environment_id}/stop") == 200
            # Within the 10 s that a phone waits: without a nudge it would be 30.
            await phone.until(lambda frame: frame["type"] == "environment")
            assert phone.frames[-1]["environment"]["phase"] in ("stopping", "stopped")
            await asyncio.to_thread(other.process.stop)
            assert (await phone.until_closed())[0] == 1012
    finally:
        await asyncio.to_thread(other.process.stop)
