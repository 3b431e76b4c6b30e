"""Coming back to a shell that went on meanwhile, from lost networks and servers (contract 9.7)."""

from __future__ import annotations

import asyncio
import re

import pytest

from devpocket.testing.server import Server
from terminals.tests.homes import Home, act, settled
from terminals.tests.phone import Phone


async def test_a_reconnect_finds_the_same_shell(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("kept=here-$$; cd /tmp; echo set-$((1+1))", "set-2")
        phone.vanish()
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run('[ "$kept" = "here-$$" ] && echo same-$((2+2)) in $PWD; cd', "same-4 in /tmp")


async def test_a_resumed_stream_continues_with_the_next_byte(server: Server, home: Home) -> None:
    """While a program prints, the network is lost again and again; nothing is lost, and nothing comes twice."""
    query, text, point = "session=resumed", "", None
    async with Phone.in_use(server, home.environment_id, home.token, query) as phone:
        await phone.run("echo ready-$((1+1))", "ready-2")
        await phone.type('clear; for n in $(seq 300); do echo "<$n>"; sleep 0.005; done; echo over-$((1+1))\r')
        await phone.until_shown("<20>")
        text, point = "".join(frame.get("data", "") for frame in phone.frames), phone.stream
        phone.vanish()
    for upto in ("<80>", "<140>", "<200>", "over-2"):
        resume = f"{query}&stream={point['id']}&offset={point['offset']}"
        async with Phone.in_use(server, home.environment_id, home.token, resume) as phone:
            assert phone.welcome["stream"] == point
            await phone.until_shown(upto)
            end = point["offset"]
            for frame in phone.frames:
                if frame["type"] == "output":
                    end += len(frame["data"].encode())
                    assert frame["offset"] == end
            text += "".join(frame.get("data", "") for frame in phone.frames)
            point = phone.stream
            phone.vanish()
    assert [int(number) for number in re.findall(r"<(\d+)>", text)] == list(range(1, 301))


@pytest.mark.parametrize("wrong", ["stream=nonsense&offset=0", "stream={id}&offset=99999999", "stream={id}&offset=x"])
async def test_a_stream_that_cannot_be_resumed_is_attached_afresh(server: Server, home: Home, wrong: str) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("echo here-$((1+1))", "here-2")
        old = phone.stream["id"]
    async with Phone.in_use(server, home.environment_id, home.token, wrong.format(id=old)) as phone:
        assert phone.welcome["stream"]["id"] != old
        assert phone.welcome["stream"]["offset"] == 0
        await phone.until_shown("here-2")  # tmux has redrawn the screen
        await phone.run("echo again-$((1+1))", "again-2")


async def test_a_stream_belongs_to_its_environment(server: Server, home: Home) -> None:
    other = await settled(server)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        stolen = f"stream={phone.stream['id']}&offset=0"
    async with Phone.in_use(server, other.environment_id, other.token, stolen) as phone:
        assert phone.welcome["stream"]["id"] not in stolen
    await act(server, other, "DELETE", f"/environments/{other.environment_id}")


async def test_a_stream_has_one_viewer(server: Server, home: Home) -> None:
    """The network changed, and the server doesn't know yet that the old connection is dead."""
    async with Phone.in_use(server, home.environment_id, home.token) as old:
        await old.run("echo one-$((1+1))", "one-2")
        point = old.stream
        resume = f"stream={point['id']}&offset={point['offset']}"
        async with Phone.in_use(server, home.environment_id, home.token, resume) as new:
            assert new.welcome["stream"] == point
            assert await old.until_closed() == (1000, "normal")
            assert old.frames[-1]["code"] == "replaced"
            await new.run("echo two-$((1+1))", "two-2")


async def test_two_devices_share_the_screen(server: Server, home: Home) -> None:
    async with (
        Phone.in_use(server, home.environment_id, home.token) as one,
        Phone.in_use(server, home.environment_id, home.token) as two,
    ):
        await one.type("echo both-$((1+1))\r")
        await one.until_shown("both-2")
        await two.until_shown("both-2")


async def test_a_killed_server_loses_no_shell(server: Server) -> None:
    """Of a user of the test's own: the slot that the killed process held stays taken for a while (contract 9.6)."""
    home = await settled(server)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("survivor=$$; echo armed-$((1+1))", "armed-2")
        await asyncio.to_thread(server.process.kill)
        assert (await phone.until_closed())[0] == 1006
    await asyncio.to_thread(server.restart)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run('[ "$survivor" = "$$" ] && echo lives-$((1+1))', "lives-2")
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def test_a_server_told_to_stop_says_so(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        stopping = asyncio.create_task(asyncio.to_thread(server.process.stop))
        assert (await phone.until_closed())[0] in (1001, 1012)
        await stopping
    assert "Traceback" not in server.process.output()
    await asyncio.to_thread(server.restart)
