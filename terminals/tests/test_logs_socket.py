"""The logs' WebSocket of the real server, of machines of the local cloud."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from devpocket.testing.server import Server
from terminals.tests.homes import REFUSED, Home, act, numbers, settle
from terminals.tests.phone import Frame, Phone


def shown(phone: Phone) -> list[tuple[str, str]]:
    """Source and text of every line."""
    return [
        (frame["source"], frame.get("data") or frame["message"])
        for frame in phone.frames
        if frame["type"] in ("log", "installation_log")
    ]


def of_the_machine(phone: Phone) -> list[tuple[str, str]]:
    """What is in its files."""
    frames = [frame for frame in phone.frames if frame["type"] == "installation_log"]
    return [(frame["source"], frame["data"]) for frame in frames]


def said(phone: Phone) -> set[str]:
    """The texts of all lines, the types of all frames, and the phases of all status updates."""
    statuses = {frame["status"] for frame in phone.frames if frame["type"] == "status_update"}
    return {text for _, text in shown(phone)} | {frame["type"] for frame in phone.frames} | statuses


async def read(server: Server, home: Home, query: str = "") -> Phone:
    """All that comes without following."""
    where = f"token={home.token}&follow=false&{query}"
    async with Phone.at(server, home.environment_id, where, path="logs") as phone:
        assert await phone.until_closed() == (1000, "normal")
        return phone


async def test_a_set_up_from_the_first_second_to_its_end(server: Server) -> None:
    home = await settle(server)
    async with Phone.at(server, home.environment_id, f"token={home.token}", path="logs") as phone:
        assert (await phone.next())["type"] == "welcome"
        while not {"Set-up complete (completion, 100 %)", "installation_complete", "running"} <= said(phone):
            await phone.next()
        installation = [frame for frame in phone.frames if frame["type"] == "installation_log"]
        assert {frame["source"] for frame in installation} == {"cloud-init", "install", "devpocket"}
        assert next(frame["phase"] for frame in installation if frame["source"] == "install") == "system_setup"
        told = [frame for frame in phone.frames if frame["type"].startswith("installation_") and "progress" in frame]
        assert [frame["progress"] for frame in told] == sorted(frame["progress"] for frame in told)
        assert [frame["type"] for frame in phone.frames].count("installation_complete") == 1
        # Nothing lost and nothing twice, beside what is still being written.
        earlier = Counter(of_the_machine(await read(server, home, "lines=1000")))
        assert earlier.total() > 20
        while not earlier <= Counter(of_the_machine(phone)):
            await phone.next()
        later = await read(server, home, "lines=1000")
        assert Counter(of_the_machine(phone)) <= Counter(of_the_machine(later))
    answer = await asyncio.to_thread(
        server.ask, "GET", f"/environments/{home.environment_id}/logs?lines=1000", token=home.token
    )
    entries: list[Frame] = answer.json()["entries"]
    assert Counter(shown(later)) <= Counter((entry["source"], entry["message"]) for entry in entries)


async def test_it_goes_on_through_a_restart(server: Server, home: Home) -> None:
    async with AsyncExitStack() as stack:
        phone = await stack.enter_async_context(
            Phone.at(server, home.environment_id, f"token={home.token}&lines=0", path="logs")
        )
        await phone.until_type("installation_complete")
        await asyncio.to_thread(server.wait_for, home.token, home.environment_id, "running", limit_s=20)
        assert await act(server, home, "POST", f"/environments/{home.environment_id}/restart") == 200
        await phone.until(lambda frame: frame["type"] == "status_update" and frame["status"] == "restarting")
        await phone.until(lambda frame: frame["type"] == "status_update" and frame["status"] == "running")
        word = f"word-{next(numbers)}"
        shell = await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token))
        await shell.type(f"mkdir -p ~/.devpocket/logs; echo {word} >> ~/.devpocket/logs/app.log\r")
        line = await phone.until(lambda frame: frame["type"] == "log" and frame["source"] == "application")
        assert line["message"] == word
        assert not [text for source, text in shown(phone) if source == "cloud-init" and "modules:final" in text]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_tokens_come_as_with_the_terminal(server: Server, home: Home, slash: str) -> None:
    where = home.environment_id + slash
    ways: list[dict[str, Any]] = [
        {"query": f"token={home.token}"},
        {"additional_headers": {"Authorization": f"Bearer {home.token}"}},
        {"subprotocols": ["bearer", home.token]},
    ]
    for way in ways:
        async with Phone.at(server, where, path="logs", **way) as phone:
            assert (await phone.next())["type"] == "welcome"
            assert phone.connection.subprotocol == ("bearer" if "subprotocols" in way else None)
    async with Phone.at(server, where, "token=x", path="logs") as phone:
        code, reason = await phone.until_closed()
        assert ([frame["code"] for frame in phone.frames], code, reason) == REFUSED["authentication_failed"]


async def test_ten_connections_are_terminals_and_logs_together(server: Server, home: Home) -> None:
    query = f"token={home.token}&lines=0"  # a phone that leaves much unread takes its time to close
    async with AsyncExitStack() as stack:
        for number in range(10):
            path = "logs" if number % 2 else "terminal"
            phone = await stack.enter_async_context(Phone.at(server, home.environment_id, query, path=path))
            assert (await phone.next())["type"] == "welcome"
        for path in ("logs", "terminal"):
            async with Phone.at(server, home.environment_id, query, path=path) as phone:
                code, reason = await phone.until_closed()
                assert ([frame["code"] for frame in phone.frames], code, reason) == REFUSED["too_many_connections"]
