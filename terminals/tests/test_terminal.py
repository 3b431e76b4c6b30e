"""The terminal as a phone sees it: the real server process, a real shell in a real tmux (contract 9.1 to 9.4, 9.7)."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh
import jwt
import psutil
import pytest

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.phone import Phone

FRAME_MAX_BYTES = 16 * 1024
NOBODY = str(uuid.UUID(int=4, version=4))
VARIABLES = {
    "PLAIN": "hello",
    "QUOTES": 'it\'s "quoted" `id` $(id)',
    "DOLLAR": "$HOME ${PATH} \\n \\",
    "MANY_LINES": "one\ntwo\n\nthree ",
    "WORDS": "  spaced\tout * ? [a] ; & | > < # !",
    "LETTERS": "naïve 日本語 🙂",
}
numbers = itertools.count(1)


@dataclass
class Home:
    """A signed-up user with an environment."""

    token: str
    refresh_token: str
    environment_id: str


async def settle(server: Server, **fields: Any) -> Home:
    """A new user, whose environment is being made."""

    def ask() -> Home:
        name = f"tenant{next(numbers)}"
        body = {"username": name, "email": f"{name}@example.org", "password": "Correct-Horse-7"}
        answer = server.ask("POST", "/auth/register", body)
        assert answer.status_code == 201, answer.text
        signed_up = answer.json()
        environment_id = server.create(signed_up["access_token"], "Home", **fields)
        return Home(signed_up["access_token"], signed_up["refresh_token"], environment_id)

    return await asyncio.to_thread(ask)


async def settled(server: Server, **fields: Any) -> Home:
    """A new user with a running environment."""
    home = await settle(server, **fields)
    await asyncio.to_thread(server.wait_for, home.token, home.environment_id, "running", limit_s=20)
    return home


async def act(server: Server, home: Home, method: str, path: str, token: str | None = None) -> int:
    answer = await asyncio.to_thread(server.ask, method, path, token=token or home.token)
    return answer.status_code


@pytest.fixture(scope="module")
def home(server: Server, localcloud: LocalCloud) -> Home:
    """One environment for all tests that leave it as it was."""
    return asyncio.run(settled(server, environment_variables=VARIABLES))


@pytest.fixture
async def phone(server: Server, home: Home) -> AsyncIterator[Phone]:
    """In a session of its own, so that no test finds what another left running."""
    async with Phone.in_use(server, home.environment_id, home.token, f"session=s{next(numbers)}") as phone:
        yield phone


# --- The shell


async def test_the_answer_is_42(phone: Phone) -> None:
    await phone.run("echo $((6*7))", "42")


async def test_the_welcome_has_the_contracts_shape(phone: Phone, home: Home) -> None:
    welcome = phone.frames[0]
    assert {name: type(value) for name, value in welcome.items()} == {
        "type": str,
        "message": str,
        "ssh_connected": bool,
        "user": str,
        "session": str,
        "stream": dict,
        "environment": dict,
    }
    assert {name: type(value) for name, value in welcome["environment"].items()} == {
        "id": str,
        "name": str,
        "template": str,
        "template_id": str,
        "status": str,
        "phase": str,
        "installation_completed": bool,
        "pty_enabled": bool,
        "droplet_id": int,
        "droplet_ip": str,
        "region": str,
        "size": str,
        "installed_tools": dict,
    }
    assert (welcome["ssh_connected"], welcome["user"]) == (True, "devpocket")
    assert welcome["session"].startswith(f"devpocket_{home.environment_id}_s")
    shown = welcome["environment"]
    assert (shown["id"], shown["name"], shown["template"]) == (home.environment_id, "Home", "ubuntu")
    assert (shown["status"], shown["phase"], shown["pty_enabled"]) == ("running", "running", True)
    assert {name: type(value) for name, value in welcome["stream"].items()} == {"id": str, "offset": int}


async def shell_size(phone: Phone, cols: int, rows: int) -> None:
    """Wait until the shell has this size: tmux learns of it a moment later than of what is typed."""
    number = next(numbers)  # a redraw shows older lines again
    line = f'until [ "$(stty size)" = "{rows} {cols}" ]; do sleep .05; done; echo right-"{number}":'
    await phone.run(line, f"right-{number}:")


async def test_the_shell_has_the_size_of_the_last_resize(phone: Phone) -> None:
    await shell_size(phone, 80, 24)
    for frame, size in [
        ({"cols": 100, "rows": 40}, (100, 40)),
        ({"metadata": {"cols": 91, "rows": 31}}, (91, 31)),
        ({"cols": 9999, "rows": 9999}, (500, 200)),
        ({"cols": 0, "rows": 24}, (500, 200)),
        ({}, (500, 200)),
        ({"cols": 60, "rows": 20}, (60, 20)),
    ]:
        await phone.send(type="resize", **frame)
        await shell_size(phone, *size)
    for cols in range(50, 150):
        await phone.send(type="resize", cols=cols, rows=30)
    await shell_size(phone, 149, 30)


async def test_a_resize_sent_before_the_welcome_counts(server: Server, home: Home) -> None:
    async with Phone.at(server, home.environment_id, f"token={home.token}&session=early") as phone:
        await phone.send(type="resize", cols=77, rows=33)
        await phone.send(type="ping")
        await phone.greet()
        await phone.until_type("pong")
        await shell_size(phone, 77, 33)


async def test_the_environments_variables_are_exported_byte_for_byte(phone: Phone) -> None:
    script = (
        "import os,binascii;"
        f"print('<', *(binascii.hexlify(os.environb[n.encode()]).decode() for n in {list(VARIABLES)}), '>', sep=',')"
    )
    await phone.send(type="resize", cols=500, rows=50)
    await shell_size(phone, 500, 50)
    await phone.type(f'python3 -c "{script}"\r')
    await phone.until_shown("<,")
    await phone.until(lambda _: ",>" in phone.screen)
    printed = phone.screen.partition(",>")[0].split(",")
    assert [bytes.fromhex(value).decode() for value in printed] == list(VARIABLES.values())
    await phone.run('echo "[$TERM|$LANG|$DEVPOCKET_ENVIRONMENT_ID]"', "[xterm-256color|C.UTF-8|")


async def test_frames_hold_16_kib_at_most_and_whole_characters(phone: Phone) -> None:
    # Large enough that tmux never skips output: where it does, with a slow reader, it may cut characters itself.
    await phone.send(type="resize", cols=500, rows=200)
    await phone.run("python3 -c \"print('日本🙂é' * 5000)\"; echo over-$((1+1))", "over-2")
    outputs = [frame for frame in phone.frames if frame["type"] == "output"]
    assert max(len(frame["data"].encode()) for frame in outputs) <= FRAME_MAX_BYTES
    assert "\ufffd" not in "".join(frame["data"] for frame in outputs)
    end = 0
    for frame in outputs:
        end += len(frame["data"].encode())
        assert frame["offset"] == end


# --- What else a client may send


async def test_ping_pong(phone: Phone) -> None:
    await phone.send(type="ping")
    pong = await phone.until_type("pong")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", pong["timestamp"])


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ('{"type":"dance"}', "unknown_type"),
        ("{}", "unknown_type"),
        ("ls\r", "invalid_message"),
        ("[1]", "invalid_message"),
        (b"\xff\xfe", "invalid_message"),
        ("[" * 60_000, "invalid_message"),
        ('{"type":"input"}', "invalid_message"),
    ],
)
async def test_what_is_not_understood_is_told_and_the_connection_stays(
    phone: Phone, raw: str | bytes, code: str
) -> None:
    await phone.connection.send(raw)
    error = await phone.until_type("error")
    assert error["code"] == code
    assert type(error["message"]) is str
    await phone.run("echo still-$((4+4))", "still-8")


async def test_a_binary_frame_with_json_is_taken(phone: Phone) -> None:
    await phone.connection.send(json.dumps({"type": "input", "data": "echo bin-$((5+5))\r"}).encode())
    await phone.until_shown("bin-10")


async def test_a_message_of_more_than_64_kib_closes_with_1009(phone: Phone) -> None:
    await phone.type("#" * 70_000)
    assert (await phone.until_closed())[0] == 1009


async def test_a_long_paste_arrives_whole(phone: Phone) -> None:
    """In one message nearly as long as may be, of many lines, since a terminal's line holds 4096 bytes."""
    await phone.run("stty -echo; echo go-$((1+1)); cat > pasted; stty echo; echo $(wc -lc < pasted) read", "go-2")
    await phone.type(("x" * 63 + "\r") * 1000)
    await phone.type("\x04")
    await phone.until_shown("1000 64000 read")


# --- Coming back


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


async def test_a_killed_server_loses_no_shell(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("survivor=$$; echo armed-$((1+1))", "armed-2")
        await asyncio.to_thread(server.process.kill)
        assert (await phone.until_closed())[0] == 1006
    await asyncio.to_thread(server.restart)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run('[ "$survivor" = "$$" ] && echo lives-$((1+1))', "lives-2")


async def test_a_server_told_to_stop_says_so(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        stopping = asyncio.create_task(asyncio.to_thread(server.process.stop))
        assert (await phone.until_closed())[0] in (1001, 1012)
        await stopping
    assert "Traceback" not in server.process.output()
    await asyncio.to_thread(server.restart)


# --- Endings


async def test_the_end_of_the_shell_ends_the_session(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token, "session=brief") as phone:
        await phone.run("echo up-$((1+1))", "up-2")
        await phone.type("exit\r")
        assert await phone.until_closed() == (1000, "normal")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("info", "session_ended")


async def test_a_killed_tmux_server_ends_the_session_and_the_next_one_works(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("echo up-$((1+1))", "up-2")
        await phone.type("kill -9 $(tmux display -p '#{pid}')\r")
        assert await phone.until_closed() == (1000, "normal")
        assert phone.frames[-1]["code"] == "session_ended"
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("echo new-$((1+1))", "new-2")


async def test_a_socket_opened_early_waits_for_the_machine(server: Server) -> None:
    home = await settle(server)
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        welcome = await phone.greet()
        assert (welcome["ssh_connected"], welcome["stream"]) == (False, None)
        assert welcome["environment"]["pty_enabled"] is False
        assert welcome["environment"]["status"] == "creating"
        assert (await phone.until_type("info"))["code"] == "installing"
        await phone.type("lost")
        await phone.type("lost")
        await phone.send(type="resize", cols=66, rows=22)
        update = await phone.until(lambda frame: frame.get("status") == "running")
        assert {name: type(value) for name, value in update.items()} == {
            "type": str,
            "environment_id": str,
            "status": str,
            "compat_status": str,
            "message": str,
            "progress": int,
            "timestamp": str,
        }
        attached = await phone.until(lambda frame: frame.get("code") == "reattached")
        assert set(attached["stream"]) == {"id", "offset"}
        await shell_size(phone, 66, 22)
        await phone.run("echo up-$((1+1))", "up-2")
        assert [frame["code"] for frame in phone.frames if frame["type"] == "error"] == ["terminal_not_ready"]
        updates = [frame for frame in phone.frames if frame["type"] == "status_update"]
        assert updates[0]["compat_status"] == "creating"
        progress = [frame["progress"] for frame in updates]
        assert progress == sorted(progress)
        assert [frame["type"] for frame in phone.frames].count("welcome") == 1
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def test_stop_and_delete_close_the_terminal(server: Server) -> None:
    home = await settled(server)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        assert await act(server, home, "POST", f"/environments/{home.environment_id}/stop") == 200
        assert await phone.until_closed() == (1008, "Environment not running")
        last = phone.frames[-1]
        assert (last["type"], last["status"], last["compat_status"]) == ("status_update", "stopping", "stopped")
    assert await refusal(server, home.environment_id, f"token={home.token}") == REFUSED["environment_not_running"]
    await asyncio.to_thread(server.wait_for, home.token, home.environment_id, "stopped")
    assert await act(server, home, "POST", f"/environments/{home.environment_id}/start") == 200
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        await phone.greet()
        if not phone.welcome["ssh_connected"]:
            await phone.until(lambda frame: frame.get("code") == "reattached")
        await phone.run("echo up-$((1+1))", "up-2")
        assert await act(server, home, "DELETE", f"/environments/{home.environment_id}") == 204
        assert await phone.until_closed() == (1008, "Environment not running")
        assert (phone.frames[-1]["type"], phone.frames[-1]["status"]) == ("status_update", "terminated")
    assert await refusal(server, home.environment_id, f"token={home.token}") == REFUSED["environment_not_found"]


async def test_logout_closes_the_socket(server: Server, home: Home) -> None:
    def log_in() -> str:
        body = {"username_or_email": claims_of(home.token)["username"], "password": "Correct-Horse-7"}
        return str(server.ask("POST", "/auth/login", body).json()["access_token"])

    token = await asyncio.to_thread(log_in)
    async with Phone.in_use(server, home.environment_id, token) as phone:
        assert await act(server, home, "POST", "/auth/logout", token) in (200, 204)
        assert await phone.until_closed() == (1008, "Session revoked")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("error", "session_revoked")
    assert await refusal(server, home.environment_id, f"token={token}") == REFUSED["authentication_failed"]
    async with Phone.in_use(server, home.environment_id, home.token):
        pass  # the user's other sign-in is as it was


async def test_a_machine_with_another_host_key_is_not_spoken_to(server: Server) -> None:
    home = await settled(server)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    path = server._environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        changed = database.execute(
            "UPDATE environments_environment SET host_public_key = ? WHERE id = ?",
            (other, uuid.UUID(home.environment_id).hex),
        )
        assert changed.rowcount == 1
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        assert await phone.until_closed() == (1011, "internal error")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("error", "ssh_failed")
        assert "output" not in {frame["type"] for frame in phone.frames}
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


# --- Refusals: accepted, told, closed with 1008

REFUSED = {
    "authentication_failed": (["authentication_failed"], 1008, "Authentication failed"),
    "environment_not_found": (["environment_not_found"], 1008, "Environment not found"),
    "environment_not_running": (["environment_not_running"], 1008, "Environment not running"),
    "too_many_connections": (["too_many_connections"], 1008, "Too many connections"),
}


async def refusal(server: Server, environment_id: str, query: str = "", **options: Any) -> tuple[list[str], int, str]:
    """What a refused client is told: the codes of its frames, the close code and reason."""
    async with Phone.at(server, environment_id, query, **options) as phone:
        code, reason = await phone.until_closed()
        return [frame["code"] for frame in phone.frames], code, reason


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


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


# --- What a server must not do


async def test_a_stalled_client_costs_no_memory_and_gets_everything_afterwards(server: Server, home: Home) -> None:
    process = psutil.Process(server.process.pid)
    address = urlsplit(server.url)
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)  # else the kernel would take it all
    small.connect((address.hostname, address.port))
    small.setblocking(False)
    options = {"sock": small, "compression": None}  # compressed, megabytes of it would fit into the sockets
    async with Phone.in_use(server, home.environment_id, home.token, "session=stalled", **options) as phone:
        await phone.type(f"yes {'x' * 70}\r")
        async with asyncio.timeout(20):
            while phone.offset < 128 * 1024:
                await phone.next()
        before, read = process.memory_info().rss, phone.offset
        await asyncio.sleep(5)  # reading nothing
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
