"""What is told of a run, and whether all of it is as it should be."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass
class Report:
    """`is_good`: everything checked so far holds."""

    is_good: bool = True

    def say(self, text: str = "") -> None:
        sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
        sys.stdout.flush()

    def check(self, what: str, value: str, *, holds: bool) -> None:
        self.is_good = self.is_good and holds
        self.say(f"  {what:52} {value:>24}   {'ok' if holds else 'NOT AS IT SHOULD BE'}")


def percentile(values: Sequence[float], share: float) -> float:
    """NaN of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else float("nan")


def machine_ms() -> float:
    """How fast the machine is just now: the CPU time of a loop that is always the same."""
    taken_s = []
    for _ in range(5):
        began = time.thread_time()
        for _ in range(1_000_000):
            pass
        taken_s.append(time.thread_time() - began)
    return min(taken_s) * 1000


def tell_log(log: Path, report: Report) -> None:
    """What a server had to complain about."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if '"level": "error"' in line or '"level": "warning"' in line:
            event = line.partition('"event": "')[2].partition('"')[0].partition(":")[0]
            found[event + (" (traceback)" if "Traceback" in line else "")] += 1
    report.say(f"  warnings and errors in {log.parent.name}: {dict(found) or 'none'}")
