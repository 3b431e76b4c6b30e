"""Floods: what a client that reads slowly, or not at all, costs the server, and how soon Ctrl-C is felt.

python -m terminals.tests.endurance.floods --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devpocket.testing.server import Server
from terminals.tests.endurance.traveller import BINARY
from terminals.tests.endurance.world import rss_mib, world
from terminals.tests.homes import Home
from terminals.tests.phone import Phone

SLOW_BYTES_PER_S = 200 * 1024
SMALL_BYTES = 32 * 1024  # of a receive buffer; the kernel takes twice that
LIMIT_S = 60.0
STILL_MAX_BYTES = 512 * 1024  # of output that may come after Ctrl-C
WHOLE_REPLAY_BYTES = 2 * 2**20  # read before: by then the stream's own buffer is full and grows no more
# Numbered lines as fast as they are taken; a file tells the last one from outside.
_FLOOD = r"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
counter, number = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), 0
while True:
    number += 1
    os.pwrite(counter, b"%010d" % number, 0)
    os.write(1, b"<%010d> %s\n" % (number, b"x" * 66))
"""


@asynccontextmanager
async def visitor(
    server: Server,
    home: Home,
    query: str,
    *,
    is_small: bool = False,
    is_compressed: bool = False,
    is_binary: bool = False,
) -> AsyncIterator[Phone]:
    """`is_small`: with a small receive buffer, so that the kernel doesn't take megabytes for one that doesn't read."""
    address = urlsplit(server.url)
    raw = socket.socket()
    if is_small:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
    raw.connect((address.hostname, address.port))
    raw.setblocking(False)
    options: dict[str, Any] = {
        "sock": raw,
        "compression": "deflate" if is_compressed else None,
        "max_queue": 1,
        "ping_interval": None,
    }
    if is_binary:
        options["subprotocols"] = [BINARY]
    async with Phone.in_use(server, home.environment_id, home.token, query, **options) as phone:
        yield phone


# --- One that stops reading


@dataclass(frozen=True)
class Stall:
    """`growth_mib`: the most that the server grew while nothing was read; `slowest_s`: the slowest answer in another
    session meanwhile. `went_on`: lines that the stalled shell wrote although it was blocked; `missing`: lines that
    never came.
    """

    seconds: float
    growth_mib: float
    slowest_s: float
    went_on: int
    lines: int
    missing: int

    @property
    def is_good(self) -> bool:
        return self.growth_mib <= 1.0 and not self.went_on and not self.missing and self.lines > 0

    def __str__(self) -> str:
        return (
            f"stalled for {self.seconds:.0f} s: the server grew by {self.growth_mib:.2f} MiB, the shell went on by "
            f"{self.went_on} lines, another session answered within {self.slowest_s * 1000:.0f} ms; "
            f"of {self.lines} lines {self.missing} were missing afterwards"
        )


async def stall(server: Server, home: Home, directory: Path, *, seconds: float, **options: Any) -> Stall:
    program, counter = directory / "flood.py", directory / "counter"
    write(program, _FLOOD)
    async with (
        visitor(server, home, "tmux=0", is_small=True, **options) as phone,
        visitor(server, home, "session=beside") as other,
    ):
        await phone.type(f"{shlex.join([sys.executable, str(program), str(counter)])}\r")
        numbers: list[int] = []
        async with asyncio.timeout(LIMIT_S):
            while phone.offset < WHOLE_REPLAY_BYTES:
                await phone.next()
                numbers += lines_of(phone)
        last = await _blocked(counter)
        before_mib, growth_mib, slowest_s, began = rss_mib(server), 0.0, 0.0, time.monotonic()
        while time.monotonic() - began < seconds:
            asked_at = time.monotonic()
            await other.run("echo here-$((1+1))", "here-2")
            slowest_s = max(slowest_s, time.monotonic() - asked_at)
            growth_mib = max(growth_mib, rss_mib(server) - before_mib)
        went_on = number_in(counter) - last
        async with asyncio.timeout(LIMIT_S):
            while numbers[-1] < last + 10_000:
                await phone.next()
                numbers += lines_of(phone)
        missing = numbers[-1] - len(set(numbers))
        phone.vanish()  # a proper close would wait for what is under way
        return Stall(time.monotonic() - began, growth_mib, slowest_s, went_on, len(numbers), missing)


async def _blocked(counter: Path) -> int:
    """Wait until the program has been held up; the number it stopped at."""
    async with asyncio.timeout(LIMIT_S):
        before = -1
        while before != (before := number_in(counter)):  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.5)
    return before


def lines_of(phone: Phone) -> Iterator[int]:
    """The numbers of the lines that are whole; what is left is the beginning of the next."""
    whole, newline, phone.screen = phone.screen.rpartition("\n")
    phone.frames.clear()
    return (int(number) for number in re.findall(r"<(\d{10})>", whole + newline))


def write(path: Path, text: str) -> None:
    path.write_text(text)


def number_in(path: Path) -> int:
    return int(path.read_text() or 0)


# --- Ctrl-C


@dataclass(frozen=True)
class Interrupt:
    """`still_bytes`: of output that came after Ctrl-C was sent."""

    name: str
    still_bytes: int
    seconds: float

    def __str__(self) -> str:
        return f"Ctrl-C, {self.name}: {self.still_bytes / 2**20:.2f} MiB still came, in {self.seconds:.1f} s"


async def interrupt(
    server: Server, home: Home, query: str, *, is_slow: bool, after_s: float = 3.0, **options: Any
) -> Interrupt:
    """Let `yes` run for `after_s`, reading as fast as it goes or SLOW_BYTES_PER_S, and stop it."""
    is_binary = options.get("is_binary", False)
    async with visitor(server, home, query, **options) as phone:
        reader = Reader(phone, SLOW_BYTES_PER_S if is_slow else 0)
        await phone.type("yes 'the quick brown fox jumps over the lazy dog'\r")
        began = time.monotonic()
        while time.monotonic() - began < after_s:
            await reader.read()
        sent_at, before, reader.tail = time.monotonic(), reader.read_bytes, b""
        await phone.type("\x03")
        await phone.type("echo over-$((1+1))\r")
        async with asyncio.timeout(LIMIT_S * 5):
            while b"over-2" not in reader.tail:
                await reader.read()
    names = [query, "binary" if is_binary else "text", "slow" if is_slow else "fast"]
    names += [name for name in ("is_small", "is_compressed") if options.get(name)]
    return Interrupt(", ".join(names), reader.read_bytes - before, time.monotonic() - sent_at)


class Reader:
    """Reads what comes, no faster than a pace in bytes of output a second; 0 for any."""

    def __init__(self, phone: Phone, pace: float) -> None:
        self._phone, self._pace = phone, pace
        self.read_bytes, self.tail = 0, b""
        self._next_at = time.monotonic()

    async def read(self) -> None:
        message = await self._phone.connection.recv()
        data = message if isinstance(message, bytes) else json.loads(message).get("data", "").encode()
        self.read_bytes += len(data)
        self.tail = self.tail[-20:] + data
        if self._pace:
            self._next_at = max(self._next_at, time.monotonic()) + len(data) / self._pace
            wait_s = self._next_at - time.monotonic()
            if wait_s > 0.01:  # a sleep takes a millisecond, more than the pace gives a message of 20 bytes
                await asyncio.sleep(wait_s)


async def _by_hand(options: argparse.Namespace, directory: Path) -> bool:
    is_good = True
    async with world(directory) as made:
        for is_compressed in (False, True):
            outcome = await stall(
                made.server,
                made.home,
                Path(tempfile.mkdtemp(dir=directory)),
                seconds=options.seconds,
                is_compressed=is_compressed,
            )
            is_good &= outcome.is_good
            sys.stdout.write(f"{outcome}\n")
        for query, is_slow, is_binary, is_compressed in product(["tmux=0", "session=flood"], *[[False, True]] * 3):
            kind = {"is_binary": is_binary, "is_compressed": is_compressed}
            told = await interrupt(made.server, made.home, query, is_slow=is_slow, **kind)
            is_good &= told.still_bytes <= STILL_MAX_BYTES
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
    return is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        return 0 if asyncio.run(_by_hand(options, Path(directory))) else 1


if __name__ == "__main__":
    sys.exit(main())
