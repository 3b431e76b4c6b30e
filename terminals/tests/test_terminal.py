"""The terminal as a phone sees it: the real server process, a real shell in a real tmux (contract 9.1 to 9.4, 9.7)."""

from __future__ import annotations

import json
import re

import pytest

from devpocket.testing.server import Server
from terminals.tests.homes import VARIABLES, Home, shell_size
from terminals.tests.phone import Phone

FRAME_MAX_BYTES = 16 * 1024


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
        "mode": str,
        "tmux": bool,
        "guest": bool,
        "recording": type(None),
        "input_seq": int,
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
