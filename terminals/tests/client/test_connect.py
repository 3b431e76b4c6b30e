"""`manage.py connect` as people run it: a process of its own in a real PTY, a real server, a real shell."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import PASSWORD
from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server
from terminals.client.api import Api, Environment, Wish, choose
from terminals.client.console import Console
from terminals.client.errors import ClientError
from terminals.client.session import Session
from terminals.tests.client.machine import Machine
from terminals.tests.pty import LIMIT_S, SEQUENCE, Proxy, Terminal

NOBODY = "http://127.0.0.1:9"


def test_a_command_is_typed_and_its_answer_read(machine: Machine, shell: str) -> None:
    with Terminal("my machine", shell, cols=91, rows=31, **machine.variables) as terminal:
        terminal.expect(r"\$|#")
        terminal.type("echo $((6*7)) é\r")
        terminal.expect("42 é")
        terminal.expect_size(91, 31)
        terminal.resize(120, 40)
        terminal.expect_size(120, 40)
        terminal.type("exit\r")
        assert terminal.end() == 0
        assert "Connection to My Machine closed." in terminal.text


def test_leaving_keeps_the_shell_and_gives_the_terminal_back(machine: Machine, shell: str) -> None:
    with Terminal(machine.id, shell, **machine.variables) as terminal:
        terminal.expect(r"\$|#")
        terminal.type("kept=yes; printf '\\033[?1h\\033[?2004h'; cat\r")
        terminal.expect("; cat")
        terminal.type("~~ ~.\r")
        terminal.expect("~ ~.")  # a tilde, and an escape that is none within a line
        terminal.type("~.")
        assert terminal.end() == 0
        assert terminal.shown.index("\x1b[?1049l") < terminal.shown.index("Connection to My Machine closed.")
    with Terminal(machine.id, shell, **machine.variables) as terminal:
        terminal.expect("~ ~.")
        terminal.type("\x03")  # in raw mode it is the machine's, not the client's
        terminal.expect(r"\^C\s+\S+[$#] ")
        terminal.type("echo still:$kept\r")
        terminal.expect("still:yes")
        terminal.type("\r~?")
        terminal.expect("~. +leave")
        terminal.signal(signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP


def test_a_short_cut_loses_and_repeats_nothing(machine: Machine, shell: str) -> None:
    with (
        Proxy(machine.server) as proxy,
        Terminal(machine.name, shell, **{**machine.variables, "DEVPOCKET_URL": proxy.url}) as terminal,
    ):
        terminal.expect(r"\$|#")
        terminal.type("echo pid:$$:; for i in $(seq 1 40); do echo n$i.; sleep 0.02; done\r")
        shell_id = terminal.expect(r"pid:(\d+):")[1]
        counted = []
        for _ in range(40):
            counted.append(int(terminal.expect(r"n(\d+)\.")[1]))
            if counted[-1] in (8, 24):
                proxy.cut()
        assert counted == list(range(1, 41))
        terminal.type("echo pid:$$:\r")
        assert terminal.expect(r"pid:(\d+):")[1] == shell_id
        assert "connection lost" not in terminal.text


def test_a_long_cut_is_told_and_what_was_typed_meanwhile_arrives(machine: Machine, shell: str) -> None:
    with (
        Proxy(machine.server) as proxy,
        Terminal(machine.name, shell, **{**machine.variables, "DEVPOCKET_URL": proxy.url}) as terminal,
    ):
        terminal.expect(r"\$|#")
        terminal.type("echo be$((1+1))fore\r")
        terminal.expect("be2fore")
        proxy.cut(stay_away=True)
        terminal.type("echo mean$((2+2))while\r")
        terminal.expect("connection lost, reconnecting")
        proxy.come_back()
        terminal.expect("be2fore")  # drawn again over the notice
        terminal.expect("mean4while")
        proxy.cut(stay_away=True)
        terminal.expect("connection lost, reconnecting")
        terminal.type("\r~.")
        assert terminal.end() == 0


def test_a_restarted_server_is_found_again(machine: Machine, shell: str) -> None:
    with Terminal(machine.name, shell, **machine.variables) as terminal:
        terminal.expect(r"\$|#")
        terminal.type("kept=$((40+2)); echo kept:$kept\r")
        terminal.expect("kept:42")
        machine.server.process.stop()
        machine.server.restart()
        terminal.type("echo now:$kept\r")
        terminal.expect("now:42")
        terminal.type("\r~.")
        assert terminal.end() == 0


def test_a_large_paste_arrives_whole_and_in_order(machine: Machine, shell: str) -> None:
    with Terminal(machine.name, shell, **machine.variables) as terminal:
        terminal.expect(r"\$|#")
        terminal.type("stty -echo; md5sum\r")
        terminal.expect("md5sum")
        lines = "".join(f"line {number} é\r" for number in range(12_000))
        threading.Thread(target=terminal.type, args=[f"{lines}\x04"]).start()
        terminal.expect(hashlib.md5(lines.replace("\r", "\n").encode()).hexdigest())


def test_an_environment_being_set_up_is_waited_for(server: Server, localcloud: LocalCloud) -> None:
    token = server.sign_up("waiter")
    localcloud.misbehave("slow", seconds=5, method="POST", path="/v2/droplets$")  # so that there is something to see
    environment_id = server.create(token, "Fresh")
    with Terminal("Fresh", DEVPOCKET_URL=server.url, DEVPOCKET_TOKEN=token) as terminal:
        terminal.expect(r"Fresh: .+ \d+ %")
        terminal.type("echo $((6*7))\r")  # typed too early, and kept
        terminal.expect(r"[^0-9]42[^0-9]")
        terminal.type("\r~.")
        assert terminal.end() == 0
    server.ask("POST", f"/environments/{environment_id}/stop", token=token)
    server.wait_for(token, environment_id, "stopped")
    with Terminal("Fresh", DEVPOCKET_URL=server.url, DEVPOCKET_TOKEN=token) as terminal:
        assert terminal.end() == 1
        assert terminal.text.strip() == "devpocket: Fresh: This environment is not running."
    server.ask("DELETE", f"/environments/{environment_id}", token=token)


def test_a_password_is_asked_for_and_never_shown(machine: Machine) -> None:
    with Terminal("nothing", DEVPOCKET_URL=machine.server.url) as terminal:
        for password in ("Wrong-Horse-7", PASSWORD):
            terminal.expect("User name or e-mail: ")
            terminal.type(f"{machine.username}\r")
            terminal.expect("Password: ")
            terminal.type(f"{password}\r")
            if password != PASSWORD:
                terminal.expect("(?i)incorrect")
        terminal.expect("no environment 'nothing'. You have: My Machine")
        assert terminal.end() == 1
        assert "Horse" not in terminal.text


def test_a_strangers_environment_is_not_there(machine: Machine) -> None:
    stranger = machine.server.sign_up("stranger")
    with Terminal(machine.id, **{**machine.variables, "DEVPOCKET_TOKEN": stranger}) as terminal:
        assert terminal.end() == 1
        assert "There is no environment" in terminal.text


def test_a_bad_token_is_told(machine: Machine) -> None:
    with Terminal(machine.name, **{**machine.variables, "DEVPOCKET_TOKEN": "old"}) as terminal:
        assert terminal.end() == 1
        assert "devpocket: DEVPOCKET_TOKEN is not valid" in terminal.text


def test_nobody_at_the_address_is_told() -> None:
    with Terminal("any", DEVPOCKET_URL=NOBODY, DEVPOCKET_TOKEN="any") as terminal:
        assert terminal.end() == 1
        assert terminal.text.strip() == f"devpocket: {NOBODY} can't be reached (connection refused)."


def test_a_script_is_sent_and_read_until_the_shell_ends(machine: Machine, shell: str) -> None:
    ended = machine.run("echo $((6*7))\nexit\n", shell)
    assert ended.returncode == 0
    assert "42" in SEQUENCE.sub("", ended.stdout)
    assert ended.stderr == ""


def test_a_script_that_never_ends_its_shell_is_given_up(machine: Machine, shell: str) -> None:
    ended = machine.run("echo hello\n", shell, "--timeout=0.3")
    assert ended.returncode == 1
    assert "has not ended within 0.3 s" in ended.stderr


async def test_an_expired_token_is_refreshed_when_a_connection_needs_one(
    machine: Machine, shell: str, tmp_path: Path
) -> None:
    api = Api(machine.server.url)
    await asyncio.to_thread(api.log_in, machine.username, PASSWORD)
    environment: Environment = choose(await asyncio.to_thread(api.environments), machine.name)
    api.access_token = "expired"
    script, output = tmp_path / "script", tmp_path / "output"
    script.write_text("echo $((6*7))\nexit\n")
    with (
        script.open() as stdin,
        output.open("w") as stdout,
        Console(stdin.fileno(), stdout.fileno(), stdout.fileno()) as console,
    ):
        session = Session(api, environment, console, Wish(session=shell.partition("=")[2]))
        assert await session.run(timeout_s=LIMIT_S) == 0
    assert "42" in SEQUENCE.sub("", output.read_text())
    assert api.access_token != "expired"


async def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminals.client.session.GIVE_UP_AFTER_S", 0.0)
    with open(os.devnull, "r+b") as nothing, Console(*[nothing.fileno()] * 3) as console:  # noqa: ASYNC230 -- no file
        session = Session(Api(NOBODY), Environment("7f", "Any", "any", "running"), console)
        with pytest.raises(ClientError, match="no connection for"):
            await session.run(timeout_s=LIMIT_S)


def test_output_that_nobody_reads_does_not_keep_the_client(machine: Machine, shell: str) -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "manage.py", "connect", machine.name, shell],
        cwd=ROOT,
        env={**os.environ, **machine.variables},
        stdin=subprocess.PIPE,
        stdout=writer,
    )
    os.close(writer)
    with child:
        assert child.stdin is not None
        child.stdin.write(b"yes\n")
        child.stdin.flush()
        select.select([reader], [], [], LIMIT_S)
        child.send_signal(signal.SIGTERM)
        assert child.wait(LIMIT_S) == 128 + signal.SIGTERM
    os.close(reader)
