"""The fuzz test: whatever a client sends, the server is not at a loss, logs no traceback and keeps nothing.

python -m terminals.tests.endurance.fuzz --frames 20000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from devpocket.testing.server import Server
from terminals.tests.endurance.garbage import CLOSE, PING, Garbage, RawSocket, frame
from terminals.tests.endurance.world import port_of, rss_mib, world
from terminals.tests.homes import Home

FRAMES_EACH = 150  # on one socket, before a last one that may be its end
LIMIT_S = 20.0
GROWTH_MAX_MIB = 4.0
# Queries and paths that make no sense either. {id} and {token} are right.
TARGETS = [
    b"/api/v1/ws/terminal/{id}?token={token}&stream=\xff&offset=%ff",
    b"/api/v1/ws/terminal/{id}?token={token}&session=%00",
    b"/api/v1/ws/terminal/{id}?token={token}&session=..%2F..&tmux=%00&mode=%F0%9F&record=%00",
    b"/api/v1/ws/terminal/{id}?token={token}&stream=a&offset=" + b"9" * 5000,
    b"/api/v1/ws/terminal/{id}?token=%00",
    b"/api/v1/ws/terminal/{id}?token=" + b"a." * 2000,
    b"/api/v1/ws/terminal/{id}?ticket=%00%ff",
    b"/api/v1/ws/terminal/{id}?share=%00%ed%a0%80",
    b"/api/v1/ws/terminal/{id}?" + b"&" * 1000,
    b"/api/v1/ws/terminal/%00?token={token}",
    b"/api/v1/ws/terminal/\xff\xfe?token={token}",
    b"/api/v1/ws/logs/{id}?token={token}&lines=" + b"9" * 5000,
    b"/api/v1/ws/logs/{id}?token={token}&lines=-1&follow=%00",
    b"/api/v1/ws/\xc3\xa9?\xc3\xa9",
    b"/api/v1/ws/terminal/{id}/../../..",
]


@dataclass
class Outcome:
    """`codes`: how many sockets the server has closed with which code; 0 without a word."""

    frames: int = 0
    sockets: int = 0
    seconds: float = 0.0
    growth_mib: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.findings and self.growth_mib <= GROWTH_MAX_MIB

    def __str__(self) -> str:
        told = [
            f"{self.frames} frames on {self.sockets} sockets, {self.seconds:.0f} s: closed with "
            f"{dict(sorted(self.codes.items()))}; the server grew by {self.growth_mib:.1f} MiB",
        ]
        return "\n".join([*told, *self.findings])


async def run(server: Server, home: Home, *, frames: int, rng: random.Random, first: int = 1500) -> Outcome:
    """After `first` frames that aren't counted: replay buffers of ten shells fill up once, and stay."""
    garbage, outcome = Garbage(rng), Outcome()
    await _send_all(server, home, garbage, first, Outcome())
    before_mib, began = rss_mib(server), time.monotonic()
    await _send_all(server, home, garbage, frames, outcome)
    await _connect_oddly(server, home, outcome)
    outcome.seconds, outcome.growth_mib = time.monotonic() - began, rss_mib(server) - before_mib
    if 1011 in outcome.codes:
        outcome.findings.append(f"closed with 1011: {outcome.codes[1011]} times")
    log = server.process.output()
    if (at := log.find("Traceback")) >= 0:
        outcome.findings.append(f"{log.count('Traceback')} tracebacks in the log: {log[max(0, at - 500) : at + 2000]}")
    return outcome


async def _send_all(server: Server, home: Home, garbage: Garbage, frames: int, outcome: Outcome) -> None:
    number = 0
    while outcome.frames < frames:
        number += 1
        query = ("session=fuzz", "tmux=0", "mode=view", "session=fuzz")[number % 4]
        kind = "logs" if number % 5 == 0 else "terminal"
        target = f"/api/v1/ws/{kind}/{home.environment_id}?token={home.token}&{query}".encode()
        try:
            async with asyncio.timeout(LIMIT_S):
                await _send_some(port_of(server), target, garbage, outcome, is_early=number % 7 == 0)
        except TimeoutError:
            outcome.findings.append(f"no answer within {LIMIT_S} s at {kind}, {query}")


async def _send_some(port: int, target: bytes, garbage: Garbage, outcome: Outcome, *, is_early: bool) -> None:
    """Frames, a ping that the server must still answer, and then one that may be the socket's end."""
    async with RawSocket.at(port, target) as socket:
        outcome.sockets += 1
        try:
            if not is_early:
                await socket.until_told(type="welcome")
            reading = asyncio.ensure_future(socket.until_closed())
            for _ in range(FRAMES_EACH):
                socket.writer.write(garbage.harmless())
                await socket.writer.drain()
                outcome.frames += 1
            socket.writer.write(frame(PING, b"still there"))
            socket.writer.write(garbage.fatal())
            socket.writer.write(frame(CLOSE, b"\x03\xe8"))
            socket.writer.write_eof()  # where the last frame was only the beginning of one, there comes no more
            await reading
        except OSError as error:
            outcome.findings.append(f"lost before its last frame: {type(error).__name__} {error}")
        outcome.codes[socket.code or 0] += 1


async def _connect_oddly(server: Server, home: Home, outcome: Outcome) -> None:
    for target in TARGETS:
        filled = target.replace(b"{id}", home.environment_id.encode()).replace(b"{token}", home.token.encode())
        try:
            async with asyncio.timeout(LIMIT_S), RawSocket.at(port_of(server), filled) as socket:
                outcome.sockets += 1
                await socket.read()
                socket.writer.write(frame(CLOSE, b"\x03\xe8"))
                await socket.until_closed()
                outcome.codes[socket.code or 0] += 1
        except ConnectionError:
            outcome.codes[0] += 1
        except TimeoutError:
            outcome.findings.append(f"no answer within {LIMIT_S} s to {target[:80]!r}")


async def _by_hand(options: argparse.Namespace, directory: Path) -> Outcome:
    async with world(directory) as made:
        rng = random.Random(options.seed)
        return await run(made.server, made.home, frames=options.frames, rng=rng, first=options.first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=120_000, help="frames before memory is looked at")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as directory:
        outcome = asyncio.run(_by_hand(options, Path(directory)))
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
