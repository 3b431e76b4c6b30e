"""The kinds of terminal on the real server, in real tmux: copying, pasting, looking on, without tmux, as a guest."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from devpocket.testing.server import Server
from terminals.tests.homes import Home, act, numbers, shell_size
from terminals.tests.phone import Phone

PROMPT = ":~"  # in the home directory


async def link(server: Server, home: Home, **wanted: object) -> tuple[str, str]:
    """A guest link's id and token."""
    path = f"/environments/{home.environment_id}/terminal-shares"
    answer = await asyncio.to_thread(server.ask, "POST", path, wanted, token=home.token)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"]), str(answer.json()["token"])


async def test_what_a_program_copies_reaches_the_client(phone: Phone) -> None:
    """OSC 52: how a program on the machine puts something into the phone's clipboard."""
    await phone.type("printf '\\033]52;c;%s\\007' aGVsbG8=\r")
    await phone.until_shown("\x1b]52;;aGVsbG8=\x07")  # as tmux says it: into whatever clipboard there is


@pytest.mark.parametrize("query", ["", "tmux=0"], ids=["tmux", "plain"])
async def test_a_bracketed_paste_of_a_mebibyte_arrives_whole_and_in_order(
    server: Server, home: Home, query: str
) -> None:
    lines = b"".join(b"%07d %s\r" % (number, b"x" * 55) for number in range(16_384))
    assert len(lines) == 1024 * 1024
    pasted = b"\x1b[200~" + lines + b"\x1b[201~\r"
    name = f"paste-{next(numbers)}"
    query = query or f"session={name}"
    async with Phone.in_use(server, home.environment_id, home.token, query) as phone:
        await phone.run(f"stty -echo; echo go-$((1+1)); sed '/201~/q' > {name}; stty echo; echo read", "go-2")
        text = pasted.decode()
        for begin in range(0, len(text), 48 * 1024):  # ESC and CR are more bytes in JSON
            await phone.type(text[begin : begin + 48 * 1024])
        await phone.until_shown("read")
        arrived = pasted.replace(b"\r", b"\n")
        await phone.run(f"sha256sum < {name}", hashlib.sha256(arrived).hexdigest())
    assert "error" not in {frame["type"] for frame in phone.frames}


async def test_who_looks_on_sees_it_and_changes_nothing(server: Server, home: Home) -> None:
    session = f"session=look-{next(numbers)}"
    async with Phone.in_use(server, home.environment_id, home.token, session) as one:
        await one.send(type="resize", cols=91, rows=33)
        await shell_size(one, 91, 33)
        async with Phone.in_use(server, home.environment_id, home.token, f"{session}&mode=view") as other:
            await other.send(type="resize", cols=40, rows=10)
            await other.type("echo never\r")
            await other.until(lambda frame: frame.get("code") == "view_only")
            await one.run("echo seen-$((1+1))", "seen-2")
            await other.until_shown("seen-2")
            await shell_size(one, 91, 33)
        assert "never" not in str(one.frames)


async def test_one_may_look_on_before_there_is_a_session(server: Server, home: Home) -> None:
    session = f"session=early-{next(numbers)}"
    async with (
        Phone.in_use(server, home.environment_id, home.token, f"{session}&mode=view") as early,
        Phone.in_use(server, home.environment_id, home.token, session) as one,
    ):
        await one.run("echo begun-$((1+1))", "begun-2")
        await early.until_shown("begun-2")


async def test_a_plain_shell_has_the_variables_and_no_tmux(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token, "tmux=0") as phone:
        assert (phone.welcome["session"], phone.welcome["tmux"]) == ("plain", False)
        await phone.run(
            'echo "$PLAIN-${TMUX:-none}-$TERM-$LANG-${PWD##*/}:"', "hello-none-xterm-256color-C.UTF-8-devpocket:"
        )
        await phone.send(type="resize", cols=77, rows=22)
        await shell_size(phone, 77, 22)
        stream = phone.stream
        await phone.run("word=kept-$((2+1)); echo set-$((1+1))", "set-2")
        point = phone.stream
    query = f"tmux=0&stream={stream['id']}&offset={point['offset']}"
    async with Phone.in_use(server, home.environment_id, home.token, query) as again:
        assert again.welcome["stream"] == point
        await again.run('echo "$word again"', "kept-3 again")


@pytest.mark.parametrize("query", ["", "tmux=0"], ids=["tmux", "plain"])
async def test_keys_by_name_do_what_they_say(server: Server, home: Home, query: str) -> None:
    query = query or f"session=keys-{next(numbers)}"
    async with Phone.in_use(server, home.environment_id, home.token, query) as phone:
        await phone.type("sh -c 'echo asleep-$((1+1)); exec sleep 1000'\r")
        await phone.until_shown("asleep-2")
        await phone.send(type="key", key="ctrl-c")
        await phone.until_shown(PROMPT)  # what is typed before is no key to bash yet
        await phone.run("echo one-$((1+1))", "one-2")
        await phone.until_shown(PROMPT)
        await phone.send(type="key", key="up")
        await phone.send(type="key", key="home")
        await phone.type("true; ")
        await phone.send(type="key", key="enter")
        await phone.until_shown("one-2")
        await phone.until_shown(PROMPT)
        await phone.type("ech")
        await phone.send(type="key", key="tab")
        await phone.type(" tab-$((1+1)) X")
        await phone.send(type="key", key="backspace")
        await phone.send(type="key", key="enter")
        await phone.until_shown("tab-2")


async def test_a_guest_works_in_the_links_session_until_it_is_revoked(server: Server, home: Home) -> None:
    name = f"pair-{next(numbers)}"
    share_id, token = await link(server, home, mode="write", session=name)
    async with (
        Phone.in_use(server, home.environment_id, home.token, f"session={name}") as owner,
        Phone.at(server, home.environment_id, subprotocols=["share", token]) as guest,
    ):
        await guest.greet()
        assert (guest.welcome["guest"], guest.welcome["environment"]["droplet_ip"]) == (True, None)
        await guest.run("echo guest-$((1+1))", "guest-2")
        await owner.until_shown("guest-2")
        path = f"/environments/{home.environment_id}/terminal-shares/{share_id}"
        assert await act(server, home, "DELETE", path) == 204
        async with asyncio.timeout(5):
            assert await guest.until_closed() == (1008, "Session revoked")
        await owner.run("echo still-$((1+1))", "still-2")


async def test_a_ticket_keeps_the_token_out_of_the_address(server: Server, home: Home) -> None:
    answer = await asyncio.to_thread(server.ask, "POST", "/ws/tickets", token=home.token)
    query = f"ticket={answer.json()['ticket']}&session=ticket-{next(numbers)}"
    async with Phone.at(server, home.environment_id, query) as phone:
        await phone.greet()
        await phone.run("echo in-$((1+1))", "in-2")
    async with Phone.at(server, home.environment_id, query) as phone:
        assert await phone.until_closed() == (1008, "Authentication failed")
