"""The kill test: servers are killed with -9 at random moments, and no droplet is lost or doubled.

    python -m environments.tests.chaos.kill --lives 200

With DATABASE_URL and REDIS_URL set the servers share PostgreSQL and Redis; else an SQLite file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.tests.chaos.harness import Killer, Watcher, World
from environments.tests.chaos.lives import live


@dataclass(frozen=True)
class Outcome:
    """What there is to say. `left`: at the cloud at the end, of anybody."""

    lives: int
    kills: int
    looks: int
    seconds: float
    failures: list[str]
    doubled: list[str]
    left: dict[str, list[str]]

    @property
    def is_good(self) -> bool:
        return not (self.failures or self.doubled or any(self.left.values()))

    def __str__(self) -> str:
        told = [
            f"{self.lives} lives, {self.kills} kills, {self.looks} looks at the cloud, {self.seconds:.0f} s",
            f"failed: {len(self.failures)}   doubled: {len(self.doubled)}   left over: {self.left}",
        ]
        return "\n".join([*told, *self.failures, *self.doubled])


def run(
    directory: Path, *, lives: int, at_once: int, processes: int = 2, pause_s: tuple[float, float], **settings: Any
) -> Outcome:
    began = time.monotonic()
    with World.start(directory, processes=processes, **settings) as world:
        with Watcher(world) as watcher, Killer(world, pause_s=pause_s, down_s=(0.0, 1.5)) as killer:
            failures = live(world, lives=lives, at_once=at_once)
        left = watcher.left_over()
    return Outcome(
        lives, killer.kills, watcher.looks, time.monotonic() - began, failures, sorted(watcher.findings), left
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--lease-seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(
            Path(directory),
            lives=options.lives,
            at_once=options.at_once,
            processes=options.processes,
            pause_s=(0.5, 5.0),
            LEASE_SECONDS=str(options.lease_seconds),
        )
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
