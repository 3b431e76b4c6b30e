"""The budget test: many environments are asked for at once, and the cloud's limits are never met.

    python -m environments.tests.chaos.budget --environments 1000

The local cloud has the published limits: 250 calls a minute, 5,000 an hour.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.tests.chaos.harness import World

PER_MINUTE, PER_HOUR = 250, 5000
OWN_CALLS = ("POST /v2/volumes", "POST /v2/droplets")  # what one environment can't come up without
LIMIT_S = 3000.0


@dataclass(frozen=True)
class Outcome:
    """`calls`: by method and path. `busiest`: in any 60 s, as the cloud counted them."""

    environments: int
    running: int
    seconds: float
    calls: Counter[str]
    busiest: int
    refused: int

    @property
    def total(self) -> int:
        return sum(self.calls.values())

    @property
    def limit_s(self) -> float:
        """What the own calls alone take at the published rate."""
        return len(OWN_CALLS) * self.environments / PER_MINUTE * 60

    @property
    def is_good(self) -> bool:
        return self.running == self.environments and self.busiest <= PER_MINUTE and not self.refused

    def __str__(self) -> str:
        own = sum(self.calls[call] for call in OWN_CALLS) / self.environments
        return "\n".join(
            [
                f"{self.running} of {self.environments} running after {self.seconds:.0f} s",
                f"calls: {self.total} in all, {self.total / self.environments:.2f} an environment, {own:.2f} its own",
                f"busiest minute: {self.busiest} of {PER_MINUTE}; refused with 429: {self.refused}",
                f"at {PER_MINUTE} a minute the own calls take {self.limit_s:.0f} s: {self.limit_s / self.seconds:.0%}; "
                f"of all calls allowed, {self.total / (self.seconds / 60 * PER_MINUTE):.0%} were made",
                f"by call: {dict(self.calls.most_common())}",
            ]
        )


def run(directory: Path, *, environments: int, processes: int = 2, **settings: Any) -> Outcome:
    limits = ("--rate-limit-per-minute", str(PER_MINUTE), "--rate-limit-per-hour", str(PER_HOUR))
    pace = ("--boot-seconds", "0.1", "--install-seconds", "0.1")
    wanted = {"CLOUD_CALLS_PER_MINUTE": "248", "CLOUD_CALLS_PER_HOUR": "4700", "CLOUD_POLL_SECONDS": "2"}
    with World.start(directory, *limits, *pace, processes=processes, **{**wanted, **settings}) as world:
        began = time.monotonic()

        def create(number: int) -> None:
            answer = world.ask("POST", "/environments", {"name": f"E{number}", "template_id": "ubuntu"})
            assert answer.status_code == 201, answer.text

        def count_running() -> int:
            answer = world.ask("GET", "/environments?status=running&limit=1")
            return int(answer.headers["X-Total-Count"])

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(create, range(environments)))
        while (running := count_running()) < environments and time.monotonic() - began < LIMIT_S:
            time.sleep(0.5)
        seconds = time.monotonic() - began
        served = world.cloud.requests_served()
        busiest = int(world.cloud.ask("GET", "/_localcloud/busiest")["requests"])
    calls = Counter(f"{one['method']} {_template(one['path'])}" for one in served)
    refused = sum(one["status"] == 429 for one in served)
    return Outcome(environments, running, seconds, calls, busiest, refused)


def _template(path: str) -> str:
    return re.sub(r"/([0-9]+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)", "/ID", path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(Path(directory), environments=options.environments, processes=options.processes)
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
