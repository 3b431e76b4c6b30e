"""`manage.py connect` in a PTY, and a network that fails between it and the server."""

from __future__ import annotations

import asyncio
import os
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from fcntl import ioctl
from typing import Any

from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server

LIMIT_S = 15
SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?>]*[a-zA-Z]|[()][A-Z0-9]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[78=>\\])")
# In a session of its own, with standard input as the terminal that signals come from.
IN_A_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


class Terminal:
    """A PTY with `manage.py connect` in it, which has no settings."""

    def __init__(self, *arguments: str, cols: int = 80, rows: int = 24, **environment: str) -> None:
        self._master, self._slave = os.openpty()
        self.resize(cols, rows)
        self.modes = termios.tcgetattr(self._slave)
        self.shown = ""
        self._child = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, "manage.py", "connect", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                **{"DJANGO_SETTINGS_MODULE": "", "DEVPOCKET_TOKEN": "", "TERM": "xterm-256color"},
                **environment,
            },
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._master)
        os.close(self._slave)

    def resize(self, cols: int, rows: int) -> None:
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    @property
    def text(self) -> str:
        """What was shown, without what steers the terminal."""
        return SEQUENCE.sub("", self.shown)

    def expect(self, pattern: str) -> re.Match[str]:
        """Read until it shows; what was shown up to its end is not looked at again."""
        give_up_at = time.monotonic() + LIMIT_S
        while (found := re.search(pattern, self.text)) is None:
            assert self._read(give_up_at), f"{pattern!r} did not show:\n{self.text}"
        self.shown = self.text[found.end() :]
        return found

    def expect_size(self, cols: int, rows: int) -> None:
        """Wait until the shell has this size: tmux learns of it a moment later than of what is typed after it."""
        self.type(f'until [ "$(stty size)" = "{rows} {cols}" ]; do sleep .05; done; echo right-"{cols}":\r')
        self.expect(f"right-{cols}:")

    def _read(self, give_up_at: float) -> bool:
        readable, _, _ = select.select([self._master], [], [], max(0, give_up_at - time.monotonic()))
        if not readable:
            return False
        self.shown += os.read(self._master, 65536).decode(errors="replace")
        return True

    def end(self) -> int:
        """The exit status; what it has still printed is in `shown`, and the terminal is as it was."""
        give_up_at = time.monotonic() + LIMIT_S
        while self._child.poll() is None:
            assert time.monotonic() < give_up_at, f"it has not ended:\n{self.text}"
            self._read(min(give_up_at, time.monotonic() + 0.05))
        while select.select([self._master], [], [], 0)[0]:
            self._read(give_up_at)
        assert termios.tcgetattr(self._slave) == self.modes
        return self._child.returncode


class Proxy:
    """A TCP proxy in front of the server that can lose its connections, and take no new ones for a while."""

    def __init__(self, server: Server) -> None:
        self._port = int(server.url.rpartition(":")[2])
        self._writers: set[asyncio.StreamWriter] = set()
        self._takes_connections = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    def cut(self, *, stay_away: bool = False) -> None:
        self._takes_connections = not stay_away
        self._do(self._cut())

    def come_back(self) -> None:
        self._takes_connections = True

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._takes_connections:
            return writer.transport.abort()
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, onward}
        await asyncio.gather(self._pump(reader, onward), self._pump(onward_reader, writer))
        self._writers -= {writer, onward}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()
