"""How much CPU and memory whom: the servers, their stores, the proxy, the machines, and the load itself."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
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
    _first: dict[str, float] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def sample(self) -> None:
        used = {name: _cpu_s(pids) for name, pids in self._groups().items()}
        used["whole machine"] = _busy_s()
        if not self._first:
            self._first, self.began_at = used, time.monotonic()
        self._last, self._ended_at = used, time.monotonic()
        self.memory.append([psutil.Process(one.process.pid).memory_info().rss / MIB for one in self.world.servers])

    def _groups(self) -> dict[str, list[int]]:
        world = self.world
        servers = {f"server {number}": [one.process.pid] for number, one in enumerate(world.servers, 1)}
        return {
            **servers,
            "PostgreSQL": _with_children(world.postgres.pid),
            "Redis": [world.redis.pid],
            "nginx": _with_children(world.nginx_pid),
            "machines' sshd": [world.cloud.process.pid],
            "typists": [os.getpid()],
            "visitors": [self.visitors_pid],
        }

    def cores(self) -> dict[str, float]:
        """How many cores each group was busy with, on average."""
        passed_s = self._ended_at - self.began_at
        return {name: (used - self._first.get(name, 0.0)) / passed_s for name, used in self._last.items()}

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
    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def _cpu_s(pids: list[int]) -> float:
    used = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            used += times.user + times.system
    return used


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
