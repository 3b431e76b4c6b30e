"""How much CPU and memory whom: the servers, their stores, the proxy, the machines, and the load itself."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import psutil

from terminals.tests.load.world import World

MIB = 2**20
EDGE_SHARE = 0.1  # of the samples, at the beginning and at the end, whose means are compared


@dataclass
class Watch:
    """`sample` now and then. `memory`: each server's MiB by sample; `cpu_s`: what a group has used since the first."""

    world: World
    visitors_pid: int
    memory: list[list[float]] = field(default_factory=list)
    began_at: float = 0.0
    _first: dict[tuple[str, int], float] = field(default_factory=dict)  # by group and process: those come and go
    _last: dict[tuple[str, int], float] = field(default_factory=dict)

    def sample(self) -> None:
        used = {(name, pid): _cpu_s(pid) for name, pids in self._groups().items() for pid in pids}
        used["whole machine", 0] = _busy_s()
        if not self._first:
            self._first, self.began_at = used, time.monotonic()
        self._last |= used
        self._ended_at = time.monotonic()
        self.memory.append([psutil.Process(one.process.pid).memory_info().rss / MIB for one in self.world.servers])

    def _groups(self) -> dict[str, list[int]]:
        world = self.world
        servers = {f"server {number}": [one.process.pid] for number, one in enumerate(world.servers, 1)}
        return {
            **servers,
            "PostgreSQL": _with_children(world.postgres.pid),
            "Redis": [world.redis.pid],
            "nginx": _with_children(world.proxy.pid),
            "machines' sshd": [world.cloud.process.pid],
            "typists": [os.getpid()],
            "visitors": [self.visitors_pid],
        }

    def cores(self) -> dict[str, float]:
        """How many cores each group was busy with, on average."""
        passed_s, cores = self._ended_at - self.began_at, dict.fromkeys((name for name, _ in self._last), 0.0)
        for (name, pid), used in self._last.items():
            cores[name] += (used - self._first.get((name, pid), 0.0)) / passed_s
        return cores

    def growth(self) -> list[float]:
        """Of each server's memory, from the first samples to the last, as a share."""
        edge = max(1, int(len(self.memory) * EDGE_SHARE))
        return [
            mean(last) / mean(first) - 1
            for first, last in zip(
                zip(*self.memory[:edge], strict=True), zip(*self.memory[-edge:], strict=True), strict=True
            )
        ]


def _with_children(pid: int) -> list[int]:
    """Told by the kernel: psutil asks all processes whose children they are, and nobody types meanwhile."""
    with suppress(OSError):
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []


def _cpu_s(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
