"""The fault test: a fifth of all calls to the cloud go wrong, in every way there is.

    python -m environments.tests.chaos.faults --calls 2000

Every environment must end running, or in an error whose reason is true, and none may stay in a phase past its deadline.
Phases get a quarter of their usual time, so that those that the cloud never ends don't take an hour.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.tests.chaos.harness import Watcher, World

DEADLINE_SCALE = 0.25
# The longest phase: hibernating, and what a killed step, a lost answer and a back-off may add to it.
STUCK_AFTER_S = 1800 * DEADLINE_SCALE + 150
RULE: dict[str, Any] = {
    "fault": [
        "lose_answer",
        {"fault": "hang", "seconds": 2},
        {"fault": "slow", "seconds": 1},
        {"fault": "status", "status": 429},
        {"fault": "status", "status": 500},
        {"fault": "status", "status": 503},
        "html",
        "pending",
        "refuse_attached",
        "action_error",
        "action_hang",
        "never_active",
        {"fault": "late_listing", "seconds": 4},
        "vanish",
    ],
    "probability": 0.2,
    "count": 0,
}
# What has to have happened at the cloud for an environment to end like this.
CAUSES: dict[str, set[str]] = {
    "droplet_missing": {"vanish"},
    **{f"{kind}_failed": {"action_error"} for kind in ("snapshot", "resize", "reboot", "power_cycle", "rebuild")},
    **{
        f"{phase}_timeout": {"never_active", "action_hang", "action_error", "hang", "status"}
        for phase in ("creating", "provisioning", "starting", "stopping", "restarting", "resizing")
    },
}
ACTIONS: list[tuple[str, dict[str, Any] | None]] = [
    ("stop", None),
    ("start", None),
    ("snapshots", {}),
    ("restart", None),
    ("resize", {"size": "s-1vcpu-2gb"}),
    ("hibernate", None),
    ("start", None),
    ("resize", {"size": "s-2vcpu-2gb"}),
]
FINAL = {"running", "stopped", "error"}


@dataclass(frozen=True)
class Outcome:
    """`ends`: how many environments ended how. `given`: faults by kind. `errors`: reasons met on the way."""

    calls: int
    given: dict[str, int]
    seconds: float
    ends: Counter[str]
    errors: Counter[str]
    failures: list[str]
    left: dict[str, list[str]]

    @property
    def is_good(self) -> bool:
        return not (self.failures or any(self.left.values()))

    def __str__(self) -> str:
        told = [
            f"{self.calls} calls, {sum(self.given.values())} faults, {self.seconds:.0f} s",
            f"faults: {self.given}",
            f"ended: {dict(self.ends)}   errors on the way: {dict(self.errors)}   left over: {self.left}",
        ]
        return "\n".join([*told, *self.failures])


def reason(shown: dict[str, Any]) -> str:
    """Why it is in error, as its owner is told."""
    return f"{shown['error']['code']}: {shown['error']['message']}"


class Wanderer:
    """One environment that is told to do one thing after another, and recovered when that fails."""

    def __init__(self, world: World, number: int, errors: Counter[str]) -> None:
        self.world, self.errors = world, errors
        body = {"name": f"Wanderer {number}", "template_id": "ubuntu", "size": "s-1vcpu-1gb"}
        self.id: str = world.ask("POST", "/environments", body).json()["id"]

    def wander(self, enough: Any) -> dict[str, Any]:
        """Until there have been enough calls; how it is in the end. Raises: AssertionError, where it is stuck."""
        step = 0
        while not enough():
            shown = self.settled()
            if shown["phase"] == "error":
                self.errors[reason(shown)] += 1
                self.world.ask("POST", f"/environments/{self.id}/recover")
                continue
            action, body = ACTIONS[step % len(ACTIONS)]
            self.world.ask("POST", f"/environments/{self.id}/{action}", body)
            step += 1
        shown = self.settled()
        if shown["phase"] == "stopped":
            self.world.ask("POST", f"/environments/{self.id}/start")
        return self.settled()

    def settled(self) -> dict[str, Any]:
        give_up_at = time.monotonic() + STUCK_AFTER_S
        while True:
            shown: dict[str, Any] = self.world.ask("GET", f"/environments/{self.id}").json()
            if shown["phase"] in FINAL:
                return shown
            assert time.monotonic() < give_up_at, f"{self.id} is stuck: {shown['phase']}, {shown['status_message']}"
            time.sleep(0.3)


def run(directory: Path, *, calls: int, environments: int, seed: int, **settings: Any) -> Outcome:
    began = time.monotonic()
    ends: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    failures: list[str] = []
    with World.start(directory, "--seed", str(seed), DEADLINE_SCALE=str(DEADLINE_SCALE), **settings) as world:
        world.cloud.misbehave(**RULE)

        def count() -> int:
            return int(world.cloud.ask("GET", "/_localcloud/busiest")["total"])

        def one(number: int) -> None:
            try:
                shown = Wanderer(world, number, errors).wander(lambda: count() >= calls)
            except AssertionError as error:
                failures.append(str(error))
                return
            ends["running" if shown["phase"] == "running" else reason(shown)] += 1

        with ThreadPoolExecutor(environments) as threads:
            list(threads.map(one, range(environments)))
        total = count()
        given = dict(world.cloud.ask("GET", "/_localcloud/faults")["given"])
        failures += [
            f"nothing at the cloud gave reason for this: {told}"
            for told in {*ends, *errors} - {"running"}
            if not CAUSES.get(told.partition(":")[0], set()) & set(given)
        ]
        world.cloud.behave()
        left = _delete_all(world)
    return Outcome(total, given, time.monotonic() - began, ends, errors, failures, left)


def _delete_all(world: World) -> dict[str, list[str]]:
    """What is still there after all environments were deleted and had their time."""
    for shown in world.ask("GET", "/environments?limit=200").json():
        world.ask("DELETE", f"/environments/{shown['id']}")
    watcher = Watcher(world)
    give_up_at = time.monotonic() + 180
    while any((left := watcher.left_over()).values()) and time.monotonic() < give_up_at:
        time.sleep(0.5)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--environments", type=int, default=16)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(Path(directory), calls=options.calls, environments=options.environments, seed=options.seed)
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
