"""What a machine says of itself: one shell command, and what its answer means. Pure; whatever is answered is read.

The command needs /proc, and df, date and tmux where they are. It starts few processes and no login shell's extras:
it runs on a small machine every minute. Paths are the machine's own: on the local cloud its home is a directory.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

MARK = "devpocket-reading"  # what a shell's start-up files may print comes before it
FIRST_INTERVAL_S = 0.3  # between the two looks at the CPU, where no earlier reading is known
TOLD_MAX_CHARS = 16 * 1024  # several hundred windows and network devices; it is parsed on the event loop, in some 5 ms
NUMBER_MAX = 2**63 - 1  # of a BigIntegerField

# Read by the shell itself, without a process for each. `net`: 1 for real network cards, which also carry what
# containers send over bridges of their own; those would count twice.
_SCRIPT = f"""\
cpu() {{ read -r _ rest < /proc/stat && echo "cpu $rest"; }}
echo {MARK}
cpu
%s
while read -r key value _; do
    case $key in MemTotal:|MemAvailable:) echo "$key $value" ;; esac
    if [ "$key" = MemAvailable: ]; then break; fi
done < /proc/meminfo
while read -r name rx _ _ _ _ _ _ _ tx _; do
    case $name in
    lo:) ;;
    *:) if [ -e "/sys/class/net/${{name%%:}}/device" ]; then echo "net 1 $rx $tx"; else echo "net 0 $rx $tx"; fi ;;
    esac
done < /proc/net/dev
read -r up _ < /proc/uptime && echo "uptime $up"
read -r one five fifteen _ < /proc/loadavg && echo "load $one $five $fifteen"
df -P -k "$HOME" 2> /dev/null
export TMUX_TMPDIR="${{TMUX_TMPDIR:-$HOME/.tmux}}"
timeout 2 tmux list-windows -a -F "window #{{window_activity}}" ";" list-clients -F client 2> /dev/null
date "+now %%s"
"""


def reading_command(*, interval_s: float = 0.0) -> str:
    """The command; with an interval it looks at the CPU twice, that long apart."""
    again = f"sleep {interval_s:g} 2> /dev/null || sleep 1\ncpu" if interval_s else ":"
    return f"exec sh -c {shlex.quote(_SCRIPT % again)}"  # the user's own shell may be any


@dataclass(frozen=True, slots=True)
class CPUTimes:
    """Clock ticks since boot, of all CPUs together."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class Reading:
    """None: not told, or told in a way that makes no sense. Percentages 0 to 100.

    `cpu_before`: the first of two looks. `storage_percent`: of the home's file system. `network_*`: bytes since boot.
    `terminals`: tmux clients. `output_age_s`: since a terminal last showed something, seen by anybody or not.
    """

    cpu: CPUTimes | None = None
    cpu_before: CPUTimes | None = None
    memory_percent: float | None = None
    storage_percent: float | None = None
    network_rx: int | None = None
    network_tx: int | None = None
    uptime_s: int | None = None
    load_average: tuple[float, float, float] | None = None
    terminals: int = 0
    output_age_s: int | None = None

    @property
    def is_usable(self) -> bool:
        return self.cpu is not None


def cpu_percent(before: CPUTimes | None, after: CPUTimes) -> float:
    """How busy the CPUs were between two looks. Without a first one, or after a reboot: since boot."""
    if before is None or before.total >= after.total or before.busy > after.busy:
        before = CPUTimes(0, 0)
    return _percent(after.busy - before.busy, after.total - before.total) or 0.0


def parse_reading(text: str) -> Reading:
    """Read the command's answer. Total: lines that don't fit are passed over, and so is what is too long to be one:
    the machine's `df`, `tmux` and `date` may be its user's own programs, and print what they like.
    """
    cpus: list[CPUTimes] = []
    memory: dict[str, int] = {}
    network: dict[str, list[tuple[int, int]]] = {"0": [], "1": []}
    windows: list[int] = []
    terminals = 0
    now: int | None = None
    storage: float | None = None
    uptime: int | None = None
    load: tuple[float, float, float] | None = None
    _, mark, told = text.rpartition(MARK)
    for line in told[:TOLD_MAX_CHARS].split("\n") if mark else ():
        match line.split():
            case ["cpu", *fields]:
                if (times := _cpu_times(fields)) is not None:
                    cpus.append(times)
            case [("MemTotal:" | "MemAvailable:") as key, value]:
                if (kilobytes := _whole(value)) is not None:
                    memory[key] = kilobytes
            case ["net", ("0" | "1") as kind, rx, tx]:
                if (received := _whole(rx)) is not None and (sent := _whole(tx)) is not None:
                    network[kind].append((received, sent))
            case ["uptime", value]:
                uptime = _whole(value.partition(".")[0])
            case ["load", one, five, fifteen]:
                load = _load(one, five, fifteen)
            case ["window", value]:
                if (at := _whole(value)) is not None:
                    windows.append(at)
            case ["client"]:
                terminals += 1
            case ["now", value]:
                now = _whole(value)
            case _:
                storage = _storage(line) if storage is None else storage
    cards = network["1"] or network["0"]
    return Reading(
        cpu=cpus[-1] if cpus else None,
        cpu_before=cpus[0] if len(cpus) > 1 else None,
        memory_percent=_memory(memory),
        storage_percent=storage,
        network_rx=min(NUMBER_MAX, sum(rx for rx, _ in cards)) if cards else None,
        network_tx=min(NUMBER_MAX, sum(tx for _, tx in cards)) if cards else None,
        uptime_s=uptime,
        load_average=load,
        terminals=terminals,
        output_age_s=max(0, now - max(windows)) if windows and now is not None else None,
    )


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _percent(part: float, whole: float) -> float | None:
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 2) if whole > 0 else None


def _cpu_times(fields: list[str]) -> CPUTimes | None:
    """From user nice system idle iowait irq softirq steal (proc(5)); guest times, which follow, are within user."""
    ticks = [_whole(field) for field in fields[:8]]
    numbers = [tick for tick in ticks if tick is not None]
    if len(numbers) != len(ticks) or len(numbers) < 4:
        return None
    return CPUTimes(busy=sum(numbers) - sum(numbers[3:5]), total=sum(numbers))


def _memory(kilobytes: dict[str, int]) -> float | None:
    if kilobytes.keys() != {"MemTotal:", "MemAvailable:"}:
        return None
    total, available = kilobytes["MemTotal:"], kilobytes["MemAvailable:"]
    return _percent(total - available, total)


def _load(*texts: str) -> tuple[float, float, float] | None:
    if not all(re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) for text in texts):
        return None
    one, five, fifteen = (float(text) for text in texts)
    return one, five, fifteen


def _storage(line: str) -> float | None:
    """From a line of df -P: blocks, used, available, capacity. Used of what its user can have, as df counts it."""
    found = re.search(r"\s([0-9]{1,18})\s+([0-9]{1,18})\s+([0-9]{1,18})\s+[0-9]+%", line)
    if found is None:
        return None
    used, available = int(found[2]), int(found[3])
    return _percent(used, used + available)
