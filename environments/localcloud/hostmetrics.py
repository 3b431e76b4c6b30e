"""The host's own numbers, which stand for those of every droplet: all of them run on it. Read from Linux's /proc."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from environments.localcloud.tasks import in_thread

INTERVAL_S = 15.0
KEPT = 240  # samples: an hour
FRESH_S = 1.0  # a sample as young as this is the present
_PROC = Path("/proc")
_CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # proc(5), /proc/stat
_MEMORY = {"free": "MemFree", "available": "MemAvailable", "cached": "Cached", "total": "MemTotal"}


@dataclass(frozen=True)
class Sample:
    """The numbers of one moment; what the system does not tell is missing."""

    at: float
    cpu: dict[str, float]  # seconds by mode, since the host was booted
    memory: dict[str, int]  # bytes: free, available, cached, total
    load: tuple[float, float, float]  # over 1, 5 and 15 minutes
    filesystem: dict[str, int]  # bytes: free, size
    traffic: dict[str, int]  # bytes that went over loopback: inbound, outbound


def take_sample(directory: Path) -> Sample:
    """Read the numbers; those of the file system are of the one that has `directory`. Blocks."""
    filesystem = os.statvfs(directory)
    return Sample(
        at=time.time(),
        cpu=_cpu(_lines("stat")),
        memory=_memory(_lines("meminfo")),
        load=os.getloadavg(),
        filesystem={
            "free": filesystem.f_bavail * filesystem.f_frsize,
            "size": filesystem.f_blocks * filesystem.f_frsize,
        },
        traffic=_traffic(_lines("net/dev")),
    )


def _lines(name: str) -> list[str]:
    try:
        return (_PROC / name).read_text().splitlines()
    except OSError:  # not Linux
        return []


def _cpu(lines: Iterable[str]) -> dict[str, float]:
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    for line in lines:
        fields = line.split()
        if fields[:1] == ["cpu"]:
            return {mode: int(ticks) / ticks_per_s for mode, ticks in zip(_CPU_MODES, fields[1:], strict=False)}
    return {}


def _memory(lines: Iterable[str]) -> dict[str, int]:
    kibibytes = {line.split(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    return {name: int(kibibytes[field]) * 1024 for name, field in _MEMORY.items() if field in kibibytes}


def _traffic(lines: Iterable[str]) -> dict[str, int]:
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            fields = numbers.split()
            return {"inbound": int(fields[0]), "outbound": int(fields[8])}
    return {}


class HostMetrics:
    """Samples of the last hour, oldest first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._sampling = asyncio.Lock()

    async def run(self) -> None:
        """Take samples for ever."""
        while True:
            await self.samples()
            await asyncio.sleep(INTERVAL_S)

    async def samples(self) -> list[Sample]:
        """All samples, the last of them as good as new."""
        async with self._sampling:
            if not self._samples or self._samples[-1].at < time.time() - FRESH_S:
                self._samples.append(await in_thread(take_sample, self._directory))
            return list(self._samples)
