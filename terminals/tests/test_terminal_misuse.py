"""What a server must not do, whatever its clients do: use memory without end, leave things behind, tell secrets."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.homes import NOBODY, REFUSED, Home, act, refusal, settled
from terminals.tests.phone import Phone


async def test_a_stalled_client_costs_no_memory_and_gets_everything_afterwards(server: Server, home: Home) -> None:
    process = psutil.Process(server.process.pid)
    address = urlsplit(server.url)
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)  # else the kernel would take it all
    small.connect((address.hostname, address.port))
    small.setblocking(False)
    options = {"sock": small, "compression": None}  # compressed, megabytes of it would fit into the sockets
    async with (
        Phone.in_use(server, home.environment_id, home.token, "session=stalled", **options) as phone,
        Phone.in_use(server, home.environment_id, home.token, "session=beside") as beside,
    ):
        await phone.type(f"yes {'x' * 70}\r")
        async with asyncio.timeout(20):
            while phone.offset < 128 * 1024:
                await phone.next()
        before, read, began = process.memory_info().rss, phone.offset, time.monotonic()
        while time.monotonic() - began < 5:  # reads nothing, while another is served
            await beside.run("echo here-$((1+1))", "here-2")
            assert process.memory_info().rss - before <= 4 * 1024 * 1024
        await phone.type("\x03")
        await phone.type("\recho over-$((1+1))\r")
        phone.screen = ""
        async with asyncio.timeout(20):
            while "over-2" not in phone.screen:
                phone.screen = phone.screen[-100:]
                await phone.next()
        assert phone.offset - read < 3 * 1024 * 1024  # the machine was held back meanwhile
        end = 0
        for frame in phone.frames:
            if frame["type"] == "output":
                end += len(frame["data"].encode())
                assert frame["offset"] == end


async def test_many_that_leave_at_once_leave_nothing_behind(server: Server, home: Home) -> None:
    """Killed at whatever moment: before the welcome, in the middle of output."""
    for _ in range(3):
        async with AsyncExitStack() as stack:
            phones = [
                await stack.enter_async_context(Phone.at(server, home.environment_id, f"token={home.token}"))
                for _ in range(8)
            ]
            for number, phone in enumerate(phones):
                if number % 2:
                    await phone.greet()
                    await phone.type("yes | head -c 100000\r")
                phone.vanish()
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        welcomed = 0
        while welcomed < 10:  # until every slot is free again
            phone = await stack.enter_async_context(Phone.at(server, home.environment_id, f"token={home.token}"))
            welcomed += (await phone.next())["type"] == "welcome"


async def test_neither_tokens_nor_what_is_typed_or_shown_is_logged(localcloud: LocalCloud, tmp_path: Path) -> None:
    """Whatever is logged: at the lowest level."""
    with Server.start(localcloud.url, tmp_path, LOG_LEVEL="DEBUG") as server:
        home = await settled(server, environment_variables={"SECRET_OF_MINE": "told-to-nobody"})
        async with Phone.in_use(server, home.environment_id, home.token) as phone:
            await phone.run("echo pass''word-typed; echo $((123456*1000+789))", "123456789")
        assert await refusal(server, NOBODY, f"token={home.token}") == REFUSED["environment_not_found"]
        async with Phone.at(server, home.environment_id, subprotocols=["bearer", home.token]) as phone:
            await phone.greet()
        await act(server, home, "DELETE", f"/environments/{home.environment_id}")
    log = server.process.output()
    assert "terminal_opened" in log
    signature = home.token.rpartition(".")[2]
    for secret in (signature, "word-typed", "123456789", "token=", "PRIVATE KEY", "told-to-nobody"):
        assert secret not in log
    assert "Traceback" not in log
    assert "task_failed" not in log


def test_a_body_without_a_length_is_no_way_around_its_limit(server: Server) -> None:
    body = (b" " * 65536 for _ in range(32))
    answer = requests.post(f"{server.url}/api/v1/auth/login", data=body, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (413, "invalid_input")
    assert answer.headers["Connection"] == "close"
    assert "Server" not in answer.headers
