"""The restart test: the server is killed or told to stop while a shell draws, and every screen is as tmux has it.

    python -m terminals.tests.endurance.restarts --restarts 40

With DATABASE_URL and REDIS_URL the numbers of input survive the server: each command is run once. Then the slots of a
process that was killed with ten sockets open are waited for as well.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from devpocket.testing.server import Server
from terminals.tests.endurance.programs import drawer
from terminals.tests.endurance.screens import Emulator, Picture, Tmux
from terminals.tests.endurance.traveller import Traveller
from terminals.tests.endurance.world import world
from terminals.tests.homes import Home
from terminals.tests.phone import Phone

LIMIT_S = 30.0
SLOTS_WAIT_S = 120.0


@dataclass
class Outcome:
    """`back_s`: the longest that it took from the server's word that it serves to the screen being right.
    `slots_s`: from a kill until its sockets' slots were free; None where that wasn't waited for.
    """

    restarts: int = 0
    seconds: float = 0.0
    back_s: float = 0.0
    slots_s: float | None = None
    findings: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.findings and self.restarts > 0

    def __str__(self) -> str:
        slots = "" if self.slots_s is None else f"; slots free {self.slots_s:.0f} s after a kill"
        told = (
            f"{self.restarts} restarts, {self.seconds:.0f} s, the screen right at most {self.back_s:.1f} s after{slots}"
        )
        return "\n".join([told, *self.findings])


async def run(
    server: Server, home: Home, directory: Path, *, restarts: int, rng: random.Random, is_once: bool
) -> Outcome:
    """By turns with SIGKILL and SIGTERM. `is_once`: the numbers of input outlive the server."""
    outcome, began = Outcome(), time.monotonic()
    session, ran = "drawn", directory / "ran"
    client = Traveller(server.ws_url, home.environment_id, home.token, f"session={session}")
    emulator = Emulator()
    async with client.travelling():
        client.type("echo socket=$TMUX\r")
        await client.until(lambda: tmux_socket(client) is not None)
        tmux = Tmux(tmux_socket(client) or "", f"devpocket_{home.environment_id}_{session}")
        client.type(f"PS1='$ '; draw() {{ {drawer(directory, ran)} \"$1\"; }}\r")
        for number in range(1, restarts + 1):
            client.type(f"draw {number}\r")
            await client.until(lambda number=number: f"<{number}." in client.received.decode(errors="replace"))
            await asyncio.sleep(rng.uniform(0, 0.5))
            await asyncio.to_thread(server.process.kill if number % 2 else server.process.stop)
            await asyncio.sleep(rng.uniform(0, 0.5))
            await asyncio.to_thread(server.restart)
            back_at = time.monotonic()
            wrong = await _differs(client, emulator, tmux, f"drawn {number}")
            outcome.back_s = max(outcome.back_s, time.monotonic() - back_at)
            if wrong is not None:
                outcome.findings.append(f"after restart {number}: {wrong[0]}\ninstead of\n{wrong[1]}")
            outcome.restarts += 1
    times = [int(number) for number in ran.read_text().split()]
    if is_once and times != list(range(1, restarts + 1)):
        outcome.findings.append(f"run: {times}")
    outcome.seconds = time.monotonic() - began
    return outcome


def tmux_socket(client: Traveller) -> str | None:
    found = re.search(rb"socket=(/[^,\s]+),", client.received)
    return found[1].decode() if found else None


async def _differs(client: Traveller, emulator: Emulator, tmux: Tmux, last: str) -> tuple[Picture, Picture] | None:
    """Wait until the screen is tmux's, with `last` on it; the two where that doesn't happen."""
    give_up_at = time.monotonic() + LIMIT_S
    while True:
        source = None if client.point is None else client.point["id"]
        emulator.feed(source, client.received)
        shown, wanted = emulator.picture(), await asyncio.to_thread(tmux.picture)
        if shown == wanted and any(line.startswith(last) for line in wanted.lines):
            return None
        if time.monotonic() > give_up_at:
            return shown, wanted
        await asyncio.sleep(0.05)


async def slots_after_a_kill(server: Server, home: Home) -> float:
    """Open as many sockets as there may be, kill the server, and wait until as many can be opened again."""
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token))
        await asyncio.to_thread(server.process.kill)
        killed_at = time.monotonic()
    await asyncio.to_thread(server.restart)
    async with AsyncExitStack() as stack, asyncio.timeout(SLOTS_WAIT_S):
        opened = 0
        while opened < 10:
            phone = await stack.enter_async_context(Phone.at(server, home.environment_id, f"token={home.token}"))
            if (await phone.next())["type"] == "welcome":
                opened += 1
            else:
                await asyncio.sleep(0.5)
    return time.monotonic() - killed_at


async def _by_hand(options: argparse.Namespace, directory: Path) -> Outcome:
    is_shared = bool(os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"))
    async with world(directory) as made:
        outcome = await run(
            made.server,
            made.home,
            directory,
            restarts=options.restarts,
            rng=random.Random(options.seed),
            is_once=is_shared,
        )
        log = made.server.process.output()
    if is_shared:
        async with world(Path(tempfile.mkdtemp(dir=directory)), WS_CONNECTIONS_PER_USER="10") as made:
            outcome.slots_s = await slots_after_a_kill(made.server, made.home)
            log += made.server.process.output()
    if "Traceback" in log:
        outcome.findings.append(log[-3000:])
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as directory:
        outcome = asyncio.run(_by_hand(options, Path(directory)))
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
