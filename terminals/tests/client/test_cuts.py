"""What was typed arrives once, whatever breaks; and what is told of a terminal that ended elsewhere."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import websockets

from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.processes import ROOT
from terminals.client.api import Api, Environment, Wish
from terminals.client.console import Console
from terminals.client.errors import ClientError
from terminals.client.notices import DROPPED, LOST
from terminals.client.session import Session
from terminals.tests.client.machine import Machine
from terminals.tests.phone import Phone, eventually
from terminals.tests.pty import LIMIT_S, Proxy, Terminal

LINES, CUTS = 200, 20
NEW = "The session had ended; this is a new one."


class Typist:
    """A session in this process, whose keyboard is a pipe and whose screen is a file."""

    def __init__(self, session: Session, keyboard: int, screen: Path) -> None:
        self.session, self._keyboard, self._screen = session, keyboard, screen

    @classmethod
    @contextmanager
    def at(cls, machine: Machine, url: str, shell: str, directory: Path) -> Iterator[Typist]:
        screen = directory / "screen"
        reader, writer = os.pipe()
        with screen.open("w") as out, Console(reader, out.fileno(), out.fileno()) as console:
            api = Api(url, access_token=machine.token)
            wish = Wish(session=shell.partition("=")[2])
            session = Session(api, Environment(machine.id, machine.name, "", ""), console, wish)
            yield cls(session, writer, screen)
        os.close(reader)
        os.close(writer)

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    @property
    def shown(self) -> str:
        return self._screen.read_text(errors="replace")

    async def attached(self) -> None:
        async def is_attached() -> bool:
            return self.session.view.is_attached

        await eventually(is_attached)


async def test_two_hundred_lines_over_twenty_cuts_arrive_once_and_in_order(
    machine: Machine, shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terminals.client.session.STEADY_S", 0.0)  # so that it comes back soon, each time
    dice = random.Random(6)
    port = int(machine.server.url.rpartition(":")[2])
    async with CuttingProxy.start(lambda: Fate(port, delay_s=dice.choice((0, 0.005, 0.02)))) as proxy:
        with Typist.at(machine, proxy.url, shell, tmp_path) as typist:
            running = asyncio.create_task(typist.session.run(timeout_s=3 * LIMIT_S))
            typist.type(
                f"stty -echo; cat > got; seq {LINES} | sed 's/^/line /' | cmp - got && echo all-$((40+2)); exit\n"
            )
            for number in range(1, LINES + 1):
                typist.type(f"line {number}\n")
                await asyncio.sleep(0)
                while proxy.cuts < number * CUTS // LINES:
                    await typist.attached()
                    for _ in range(dice.randrange(1, 60)):  # anywhere between typed and acknowledged
                        await asyncio.sleep(0)
                    proxy.cut_all(server_is_told=dice.random() < 0.5)
            typist.type("\x04")
            assert await running == 0
            assert proxy.cuts >= CUTS
            assert "all-42" in typist.shown, typist.shown[-2000:]


def end_shell(machine: Machine, shell: str) -> None:
    """From elsewhere."""
    machine.ask("DELETE", f"/sessions/{shell.partition('=')[2]}")


def test_a_shell_that_ended_meanwhile_is_told_and_gets_nothing_of_what_was_typed(machine: Machine, shell: str) -> None:
    with (
        Proxy(machine.server) as proxy,
        Terminal(machine.name, shell, cols=120, **{**machine.variables, "DEVPOCKET_URL": proxy.url}) as terminal,
    ):
        terminal.expect(r"\$|#")
        terminal.type("echo be$((1+1))fore\r")
        terminal.expect("be2fore")
        proxy.cut(stay_away=True)
        terminal.type("echo ne$((1+1))ver\r")
        terminal.expect("connection lost, reconnecting")
        end_shell(machine, shell)
        proxy.come_back()
        terminal.expect(f"{NEW} {DROPPED}")
        terminal.type("echo al$((1+1))ive\r")
        assert "ne2ver" not in terminal.expect("(?s)(.*)al2ive")[1]
        terminal.type("exit\r")
        assert terminal.end() == 0
        assert "The session has ended. Connection to My Machine closed." in terminal.text


@contextmanager
def running_script(machine: Machine, url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client whose script has begun and goes on."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "connect", machine.name, *options],
        cwd=ROOT,
        env={**os.environ, **machine.variables, "DEVPOCKET_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"echo re$((1+1))dy\n")
        child.stdin.flush()
        shown = b""
        while b"re2dy" not in shown:
            shown += child.stdout.read1()
        yield child


def test_a_script_ends_with_its_shell_also_when_that_ended_unseen(machine: Machine, shell: str) -> None:
    with Proxy(machine.server) as proxy, running_script(machine, proxy.url, shell) as child:
        proxy.cut(stay_away=True)
        end_shell(machine, shell)
        proxy.come_back()
        assert child.wait(LIMIT_S) == 0


def test_a_plain_shell_that_is_lost_is_told_and_gets_nothing_of_what_was_typed(machine: Machine) -> None:
    with (
        running_script(machine, machine.server.url, "--no-tmux") as child,
        Terminal(machine.name, "--no-tmux", cols=120, **machine.variables) as terminal,
    ):
        terminal.expect(r"\$|#")
        machine.server.process.stop()
        terminal.type("echo ne$((1+1))ver\r")
        terminal.expect("connection lost, reconnecting")
        machine.server.restart()
        told = terminal.expect(f"(?s)(.*){LOST} {DROPPED}")
        assert "ne2ver" not in told[1]
        terminal.type("echo al$((1+1))ive\r")
        assert "ne2ver" not in terminal.expect("(?s)(.*)al2ive")[1]
        assert child.wait(LIMIT_S) == 1
        assert child.stderr is not None
        assert b"My Machine: the shell is lost" in child.stderr.read()


async def test_a_terminal_that_was_opened_elsewhere_ends_and_says_so(
    machine: Machine, shell: str, tmp_path: Path
) -> None:
    with Typist.at(machine, machine.server.url, shell, tmp_path) as typist:
        running = asyncio.create_task(typist.session.run(timeout_s=LIMIT_S))
        await typist.attached()
        assert typist.session.view.point is not None
        stream, offset = typist.session.view.point
        query = f"{shell.removeprefix('--')}&stream={stream}&offset={offset}"
        async with Phone.in_use(machine.server, machine.id, machine.token, query):
            with pytest.raises(ClientError, match=r"^My Machine: This terminal was opened elsewhere\.$"):
                await running


async def test_a_server_that_knows_no_bytes_is_told_to_be_old(machine: Machine, tmp_path: Path) -> None:
    async def greet(connection: websockets.ServerConnection) -> None:
        await connection.send('{"type": "welcome"}')

    async with websockets.serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with (
            Typist.at(machine, f"http://127.0.0.1:{port}", "--session=any", tmp_path) as typist,
            pytest.raises(ClientError, match="is too old for this client"),
        ):
            await typist.session.run(timeout_s=LIMIT_S)
