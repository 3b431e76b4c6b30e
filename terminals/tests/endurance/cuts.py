"""The resume test: clients lose their connections at random moments, and not a byte of output nor a line of input.

    python -m terminals.tests.endurance.cuts --cuts 500

Text and binary clients, with compression and without, read plain shells that count, over a network that delays, stalls
and cuts in the middle of frames. Meanwhile others type numbered lines into tmux and into plain shells. With
DATABASE_URL and REDIS_URL there are two server processes, and those who type in tmux return to the other one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.server import Server
from terminals.tests.endurance.programs import counted, counter, keeper
from terminals.tests.endurance.traveller import RETRY_S, Traveller
from terminals.tests.endurance.world import port_of, rss_mib, world
from terminals.tests.homes import Home

LIMIT_S = 3600.0  # for all of it, by hand
WINDOW = 40  # lines that a client has under way
LONG_AWAY_S = 30.0


Span = tuple[float, float]  # powers of ten, of bytes
HANDSHAKE: Span = (0, 3)  # and the welcome
READING: tuple[Span, Span] = (3, 5), (2.5, 4)  # down and up
TYPING: tuple[Span, Span] = (3.1, 4.5), (2.9, 3.5)


class Fates:
    """What becomes of connections, until there have been enough cuts. The servers take turns."""

    def __init__(self, servers: list[Server], spans: tuple[Span, Span], rng: random.Random) -> None:
        self._ports, self._spans, self._rng = cycle([port_of(server) for server in reversed(servers)]), spans, rng
        self.is_calm = False

    def __call__(self) -> Fate:
        rng, port = self._rng, next(self._ports)
        if self.is_calm:
            return Fate(port)
        return Fate(
            port,
            down_bytes=int(10 ** rng.uniform(*(HANDSHAKE if rng.random() < 0.1 else self._spans[0]))),
            up_bytes=int(10 ** rng.uniform(*self._spans[1])) if rng.random() < 0.7 else None,
            delay_s=rng.uniform(0, 0.15) if rng.random() < 0.5 else 0.0,
            stall_s=rng.uniform(0, 0.5) if rng.random() < 0.25 else 0.0,
            server_is_told=rng.random() < 0.6,
            swallows=rng.random() < 0.5,
        )


@dataclass
class Outcome:
    """`mismatches`: each a sentence; there must be none. `told`: what the clients were told, and how often."""

    cuts: int = 0
    seconds: float = 0.0
    output_bytes: int = 0
    lines: int = 0
    growth_mib: float = 0.0
    mismatches: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        return not self.mismatches and self.cuts > 0

    def __str__(self) -> str:
        told = [
            f"{self.cuts} cuts, {self.seconds:.0f} s: {self.output_bytes} bytes of output and {self.lines} lines of "
            f"input compared, {len(self.mismatches)} mismatches; the servers grew by {self.growth_mib:.1f} MiB",
            f"told: {dict(self.told.most_common())}",
        ]
        return "\n".join([*told, *self.mismatches])


async def run(
    servers: list[Server],
    home: Home,
    directory: Path,
    *,
    cuts: int,
    lines: int,
    rng: random.Random,
    long_away: float = 0.0,
) -> Outcome:
    """`long_away`: the part of cuts after which a client that reads stays away for LONG_AWAY_S."""
    outcome, began = Outcome(), time.monotonic()
    before_mib = sum(map(rss_mib, servers))
    reading = Fates(servers[:1], READING, rng)
    typing = {"tmux": Fates(servers, TYPING, rng), "plain": Fates(servers[:1], TYPING, rng)}

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        proxies = [await stack.enter_async_context(CuttingProxy.start(reading))]
        proxies += [await stack.enter_async_context(CuttingProxy.start(fates)) for fates in typing.values()]
        for number in range(2):
            reader = Traveller(
                servers[0].ws_url,
                home.environment_id,
                home.token,
                "tmux=0",
                is_binary=number == 1,
                is_compressed=number == 0,
                away_s=_absences(reading, rng, long_away),
            )
            group.create_task(_read(reader, proxies[0], reading, directory / f"reader-{number}", cuts, outcome))
        for (name, fates), proxy in zip(typing.items(), proxies[1:], strict=True):
            query = "tmux=0" if name == "plain" else "session=typed"
            typist = Traveller(servers[0].ws_url, home.environment_id, home.token, query, is_compressed=False)
            group.create_task(_type(typist, proxy, fates, directory / name, lines, outcome))
    outcome.cuts, outcome.seconds = sum(proxy.cuts for proxy in proxies), time.monotonic() - began
    outcome.growth_mib = sum(map(rss_mib, servers)) - before_mib
    return outcome


def _absences(fates: Fates, rng: random.Random, long_away: float) -> Callable[[], float]:
    """How long to stay away, now and then LONG_AWAY_S. Not twice in a row: a MiB of output must not be exceeded."""
    last = float("-inf")

    def away_s() -> float:
        nonlocal last
        if fates.is_calm or time.monotonic() - last < 2 * LONG_AWAY_S or rng.random() >= long_away:
            return RETRY_S
        last = time.monotonic()
        return LONG_AWAY_S

    return away_s


async def _read(
    traveller: Traveller, proxy: CuttingProxy, fates: Fates, place: Path, cuts: int, outcome: Outcome
) -> None:
    """Read what the counter says until there were enough cuts, and then its last word."""
    stop = place / "stop"
    async with traveller.travelling():
        traveller.type(f"{counter(place, stop)}\r")
        await traveller.until_shown("begin\r\n")
        await _move(traveller, proxy)
        await traveller.until(lambda: proxy.cuts >= cuts, limit_s=LIMIT_S)
        fates.is_calm = True
        proxy.cut_all()
        stop.touch()
        await traveller.until(lambda: b"\r\nover " in traveller.received[-1000:], limit_s=60)
    found = counted(bytes(traveller.received))
    assert found is not None
    got, sent = found
    outcome.output_bytes += len(sent)
    outcome.told += traveller.told
    if got != sent:
        at = next((at for at, (one, other) in enumerate(zip(got, sent, strict=False)) if one != other), len(got))
        outcome.mismatches.append(f"{place.name}: {got[at - 40 : at + 80]!r} instead of {sent[at - 40 : at + 80]!r}")
    _judge(traveller, place.name, outcome, {"lost_output", "reattached", "session_ended"})


async def _type(
    traveller: Traveller, proxy: CuttingProxy, fates: Fates, place: Path, lines: int, outcome: Outcome
) -> None:
    """Type numbered lines, as fast as they are acknowledged."""
    kept = place / "kept"
    async with traveller.travelling():
        traveller.type(f"{keeper(place, kept)}\r")
        await traveller.until_shown("reading\r\n")
        await _move(traveller, proxy)
        wanted = [f"{number} naïve 日本語 🙂" for number in range(1, lines + 1)]
        for line in wanted:
            await traveller.until(lambda: traveller.unacknowledged < WINDOW, limit_s=LIMIT_S)
            traveller.type(f"{line}\r")
        await traveller.until(lambda: not traveller.unacknowledged, limit_s=LIMIT_S)
        fates.is_calm = True
        proxy.cut_all()
        traveller.begin_anew()
        traveller.type("end\r")
        await traveller.until_shown("kept")
    outcome.lines += lines
    outcome.told += traveller.told
    got = kept.read_text().splitlines()
    if got != wanted:
        twice = [line for line, count in Counter(got).items() if count > 1]
        missing = [line for line in wanted if line not in got]
        outcome.mismatches.append(
            f"{place.name}: {len(got)} lines instead of {lines}; twice {twice[:5]}, missing {missing[:5]}"
        )
    _judge(traveller, place.name, outcome, {"acknowledged_less"})


async def _move(traveller: Traveller, proxy: CuttingProxy) -> None:
    """To the bad network."""
    traveller.ws_url = proxy.ws_url
    assert traveller.connection is not None
    traveller.connection.transport.abort()


def _judge(traveller: Traveller, name: str, outcome: Outcome, forbidden: set[str]) -> None:
    """What must not be told, whatever the network does."""
    for word in sorted({*forbidden, "internal_error", "ssh_failed"} & set(traveller.told)):
        outcome.mismatches.append(f"{name}: {word}, {traveller.told[word]} times")


async def _by_hand(options: argparse.Namespace, directory: Path) -> Outcome:
    async with world(directory, processes=options.processes) as made:
        outcome = await run(
            made.servers,
            made.home,
            directory,
            cuts=options.cuts,
            lines=options.lines,
            rng=random.Random(options.seed),
            long_away=options.long_away,
        )
        logs = "".join(server.process.output() for server in made.servers)
    if "Traceback" in logs:
        outcome.mismatches.append(f"a traceback in a server's log:\n{logs[-5000:]}")
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=500, help="of those who read; those who type have more")
    parser.add_argument("--lines", type=int, default=1000, help="that each who types types")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--long-away", type=float, default=0.02, help="the part of cuts after which one is away for 30 s"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as directory:
        outcome = asyncio.run(_by_hand(options, Path(directory)))
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
