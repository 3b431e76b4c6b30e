"""The kinds of terminal that there are: to look on, without tmux, in bytes, recorded, by ticket or by link."""

from __future__ import annotations

import json
from typing import Any

import pytest
from channels.db import database_sync_to_async

from accounts.models import User
from accounts.services import SignIn
from environments.models import Environment
from environments.tests.sshd import Machine, Process
from terminals.hub import Hub
from terminals.models import Mode, OpenTerminal, Recording
from terminals.presence import terminal_terminate
from terminals.recorder import recorders_aclose
from terminals.shares import share_create, share_revoke
from terminals.tests.test_hub import talk
from terminals.tickets import ticket_issue

pytestmark = pytest.mark.django_db(transaction=True)

ask = database_sync_to_async


@pytest.fixture
def commands(machine: Machine) -> list[str]:
    """What was run on the machine."""
    ran: list[str] = []

    async def serve(process: Process) -> None:
        ran.append(process.command or "")
        await talk(process)

    machine.serve = serve
    return ran


async def shared(home: Environment, ann: SignIn, mode: Mode, session: str | None = None) -> tuple[Any, str]:
    return await ask(share_create)(environment=home, owner=ann.user, mode=mode, expires_in_s=3600, session=session)


# --- Looking on


async def test_who_looks_on_types_nothing(at: Any, commands: list[str], home: Environment) -> None:
    async with at("mode=view") as socket:
        welcome = await socket.until_sent(type="welcome")
        assert (welcome["mode"], welcome["tmux"]) == ("view", True)
        socket.say(type="input", data="hello\n", seq=1)
        socket.say(type="key", key="up")
        socket.say(type="ping")
        await socket.until_sent(type="pong")
        assert [frame["code"] for frame in socket.sent if frame["type"] == "error"] == ["view_only"]
        assert (socket.text, [*filter("ack".__eq__, socket.types)]) == ("", [])
    [command] = commands
    assert f"attach-session -f read-only,ignore-size -t =devpocket_{home.pk}" in command


# --- Without tmux


async def test_a_plain_shell_is_gone_on_with_though_bytes_are_lost(
    at: Any, commands: list[str], hub: Hub, machine: Machine
) -> None:
    async with at("tmux=0") as socket:
        welcome = await socket.until_sent(type="welcome")
        assert (welcome["session"], welcome["tmux"]) == ("plain", False)
        socket.say(type="input", data="\x1b[?1049h\x1b[?25l\n")
        await socket.until(lambda: "25l" in socket.text)
    assert "tmux -u" not in commands[0]
    stream = hub.find(welcome["stream"]["id"])
    assert stream is not None
    long = b"0123456789\r\n" * 100_000 + "→".encode()
    stream.data_received(long, None)
    stream.data_received(b"x" * (1024 * 1024 - 2), None)  # what is kept begins inside of the arrow
    async with at(f"tmux=0&stream={stream.id}&offset=5") as socket:
        welcome = await socket.until_sent(type="welcome")
        gap = await socket.until_sent(code="lost_output")
        lead = next(frame for frame in socket.sent if frame["type"] == "output")
        assert lead["data"].startswith("\x18\x1b[?")
        assert "\x1b[?1049h" in lead["data"]
        assert "\x1b[?25l" in lead["data"]
        begin = gap["stream"]["offset"]
        assert welcome["stream"]["offset"] == begin
        assert lead["offset"] == begin + len(lead["data"]) == gap["bytes"] + 5
        await socket.until(lambda: socket.text.count("x") == 1024 * 1024 - 2)
        assert socket.text.removeprefix(lead["data"])[:3] == "xxx"
        socket.say(type="input", data="still here\n")
        await socket.until(lambda: "still here" in socket.text)
    assert len(commands) == 1


async def test_programs_choose_what_cursor_keys_send(at: Any, machine: Machine) -> None:
    async with at("tmux=0") as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="key", key="up")
        socket.say(type="input", data="\n\x1b[?1h\n")
        await socket.until(lambda: "?1h" in socket.text)
        socket.say(type="key", key="up")
        socket.say(type="key", key="enter")
        socket.say(type="input", data="\n")
        await socket.until(lambda: "\x1bOA\r" in socket.text)
        assert socket.text.startswith("\x1b[A\n")
        socket.say(type="key", key="no-such")
        assert (await socket.until_sent(type="error"))["code"] == "invalid_message"


# --- In bytes


async def test_binary_frames_are_raw_bytes(at: Any, machine: Machine, hub: Hub) -> None:
    async with at(subprotocols=["devpocket.v1.binary", "bearer", "ignored"]) as socket:
        welcome = await socket.until_sent(type="welcome")
        assert socket.subprotocol == "devpocket.v1.binary"
        socket.say_bytes(b"\xff\xfe{}\n")
        socket.say(type="input", data="text\n")
        await socket.until(lambda: socket.data == b"\xff\xfe{}\ntext\n")
        assert "output" not in socket.types
    stream = hub.find(welcome["stream"]["id"])
    assert stream is not None
    stream.data_received(b"ask\x1b[6nme\x1b[c", None)
    offset = len(socket.data)
    async with at(
        f"stream={stream.id}&offset={offset}", subprotocols=["devpocket.v1.binary", "bearer", "ignored"]
    ) as socket:
        assert (await socket.until_sent(type="welcome"))["stream"]["offset"] == offset
        await socket.until(lambda: len([frame for frame in socket.sent if frame.get("code") == "left_out"]) == 2)
        first, last = (frame["stream"]["offset"] for frame in socket.sent[1:])
        await socket.until(lambda: socket.data == b"askme")
        assert (first, last) == (offset + len(b"ask\x1b[6n"), offset + len(b"ask\x1b[6nme\x1b[c"))


async def test_what_is_repeated_asks_nothing(at: Any, machine: Machine, hub: Hub) -> None:
    async with at() as socket:
        welcome = await socket.until_sent(type="welcome")
    stream = hub.find(welcome["stream"]["id"])
    assert stream is not None
    stream.data_received(b"ask\x1b]11;?\x07me", None)
    async with at(f"stream={stream.id}&offset=0") as socket:
        await socket.until(lambda: socket.text == "askme")
        assert socket.sent[-1]["offset"] == len(b"ask\x1b]11;?\x07me")
        stream.data_received(b"\x1b[6n", None)  # live: the program waits for the answer
        await socket.until(lambda: socket.text == "askme\x1b[6n")


# --- Recorded


@pytest.mark.parametrize(
    ("setting", "query", "is_recorded"),
    [(False, "", False), (False, "record=1", True), (True, "", True), (True, "record=0", False)],
)
async def test_recording_is_asked_for_or_set(
    at: Any, ann: SignIn, machine: Machine, setting: bool, query: str, is_recorded: bool
) -> None:
    await ask(User.objects.filter(pk=ann.user.pk).update)(record_terminals=setting)
    async with at(query) as socket:
        welcome = await socket.until_sent(type="welcome")
        recorded = await ask(lambda: [str(row.pk) for row in Recording.objects.all()])()
        assert welcome["recording"] == ({"id": recorded[0]} if is_recorded else None)
        assert len(recorded) == is_recorded


async def test_a_recording_has_the_output_and_not_what_was_typed(at: Any, machine: Machine, hub: Hub) -> None:
    async def keep_silent(process: Process) -> None:
        process.stdout.write(b"Password: ")
        await process.stdin.readline()
        process.stdout.write(b"\r\nwelcome\r\n")
        process.exit(0)

    machine.serve = keep_silent
    async with at("record=1") as socket:
        await socket.until(lambda: "Password" in socket.text)
        socket.say(type="input", data="secret\n")
        assert await socket.until_closed() == (1000, "normal")
    await recorders_aclose()
    recording = await ask(Recording.objects.exclude(ended_at=None).get)()
    with recording.file.open() as file:
        lines = [json.loads(line) for line in file]
    assert (lines[0]["version"], lines[0]["width"], lines[0]["height"]) == (2, 80, 24)
    assert "".join(text for _, kind, text in lines[1:] if kind == "o") == "Password: \r\nwelcome\r\n"
    assert "secret" not in str(lines)
    await ask(recording.file.delete)(save=False)


# --- By ticket


async def test_a_ticket_opens_one_socket(at: Any, ann: SignIn, machine: Machine) -> None:
    ticket = await ask(ticket_issue)(session_id=ann.session.pk)
    async with at(f"ticket={ticket}", token="") as socket:
        await socket.until_sent(type="welcome")
        async with at(f"ticket={ticket}", token="") as second:
            assert await second.until_closed() == (1008, "Authentication failed")


# --- By link


async def test_a_guest_gets_the_links_session_and_nothing_else(
    at: Any, ann: SignIn, home: Environment, commands: list[str]
) -> None:
    _, token = await shared(home, ann, Mode.WRITE, "pair")
    async with at(f"share={token}&session=other&tmux=0&record=1", token="") as socket:
        welcome = await socket.until_sent(type="welcome")
        assert (welcome["guest"], welcome["mode"], welcome["tmux"]) == (True, "write", True)
        assert welcome["session"] == f"devpocket_{home.pk}_pair"
        assert (welcome["environment"]["droplet_ip"], welcome["recording"]) == (None, None)
        socket.say(type="input", data="hello\n")
        await socket.until(lambda: "hello" in socket.text)
        row = await ask(OpenTerminal.objects.get)()
        assert (row.user_id, row.share_id is not None, row.session) == (None, True, f"devpocket_{home.pk}_pair")
    assert f"new-session -A -s devpocket_{home.pk}_pair" in commands[0]


async def test_a_link_to_look_on_gives_no_more(at: Any, ann: SignIn, home: Environment, commands: list[str]) -> None:
    _, token = await shared(home, ann, Mode.VIEW)
    async with at("mode=write", token="", subprotocols=["share", token]) as socket:
        assert (await socket.until_sent(type="welcome"))["mode"] == "view"
        socket.say(type="input", data="hello\n")
        assert (await socket.until_sent(type="error"))["code"] == "view_only"
    assert "read-only" in commands[0]


async def test_a_revoked_link_closes_its_sockets(at: Any, ann: SignIn, home: Environment, machine: Machine) -> None:
    share, token = await shared(home, ann, Mode.WRITE)
    async with at(f"share={token}", token="") as socket, at() as own:
        await socket.until_sent(type="welcome")
        await own.until_sent(type="welcome")
        await ask(share_revoke)(share_id=share.pk, environment_id=home.pk, owner_id=ann.user.pk, actor_id=ann.user.pk)
        assert await socket.until_closed() == (1008, "Session revoked")
        assert socket.sent[-1]["code"] == "share_ended"
        assert own.code is None
    async with at(f"share={token}", token="") as socket:
        assert await socket.until_closed() == (1008, "Session revoked")


async def test_guests_take_none_of_the_owners_places(
    at: Any, ann: SignIn, home: Environment, machine: Machine, settings: Any
) -> None:
    settings.WS_CONNECTIONS_PER_USER = 1
    _, token = await shared(home, ann, Mode.VIEW)
    async with at(f"share={token}", token="") as guest:
        await guest.until_sent(type="welcome")
        async with at() as own, at(f"share={token}", token="") as second:
            await own.until_sent(type="welcome")
            assert await second.until_closed() == (1008, "Too many connections")


# --- By an operator


async def test_an_operator_closes_it(at: Any, ann: SignIn, machine: Machine, hub: Hub) -> None:
    async with at() as socket:
        welcome = await socket.until_sent(type="welcome")
        row = await ask(OpenTerminal.objects.get)()
        await ask(terminal_terminate)(terminal_id=row.pk, actor_id=ann.user.pk)
        assert await socket.until_closed() == (1008, "Session revoked")
        await socket.until_ended()
    assert hub.find(welcome["stream"]["id"]) is None
    assert not await ask(OpenTerminal.objects.exists)()
