"""What a run has shown, told as it goes, and summed up at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Report:
    """Checks that hold or not, and measured seconds, of one template."""

    template: str
    started: float = field(default_factory=time.monotonic)
    failures: list[str] = field(default_factory=list)
    checks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, text: str) -> None:
        sys.stdout.write(f"{self.template:>10} {time.monotonic() - self.started:7.1f} s  {text}\n")
        sys.stdout.flush()

    def check(self, what: str, holds: Callable[[], object]) -> None:
        """`holds` gives what is wrong, if anything: False, or an exception."""
        self.checks += 1
        try:
            trouble = "" if holds() is not False else "no"
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on
            trouble = f"{type(error).__name__}: {error}"
        if trouble:
            self.failures.append(f"{what}: {trouble}")
        self.say(f"{'FAILED' if trouble else 'ok'}  {what}{': ' if trouble else ''}{trouble}")

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - began
        self.say(f"{what}: {self.seconds[what]:.0f} s")


def table(reports: list[Report]) -> str:
    """Seconds by template."""
    columns = list(dict.fromkeys(what for report in reports for what in report.seconds))
    lines = ["| template | " + " | ".join(columns) + " | checks |", "| --- " * (len(columns) + 2) + "|"]
    for report in reports:
        cells = [f"{report.seconds[what]:.0f}" if what in report.seconds else "" for what in columns]
        outcome = f"{report.checks - len(report.failures)} of {report.checks}"
        lines.append(f"| {report.template} | " + " | ".join(cells) + f" | {outcome} |")
    return "\n".join(lines)
