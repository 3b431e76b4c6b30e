"""What a machine's answer means, whatever the machine answers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.readings import CPUTimes, Reading, cpu_percent, parse_reading, reading_command

ANSWER = """\
Welcome! cpu 1 1 1 1
devpocket-reading
cpu 100 20 30 800 50 5 5 10 7 7
cpu 110 20 30 880 50 5 5 10 7 7
MemTotal: 1000
MemAvailable: 250
net 0 999 999
net 1 5000 700
net 1 5 7
uptime 86400.55
load 0.10 1.5 12
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/disk/by id/a  10000 3000 6000 34% /home/devpocket
window 1000
window 1090
client
client
now 1100
"""


def test_an_answer_is_read() -> None:
    assert parse_reading(ANSWER) == Reading(
        cpu=CPUTimes(busy=180, total=1110),
        cpu_before=CPUTimes(busy=170, total=1020),
        memory_percent=75.0,
        storage_percent=33.33,
        network_rx=5005,
        network_tx=707,
        uptime_s=86400,
        load_average=(0.1, 1.5, 12.0),
        terminals=2,
        output_age_s=10,
    )


def test_bridges_count_only_where_there_is_no_card() -> None:
    reading = parse_reading("devpocket-reading\nnet 0 5 6\nnet 0 1 1\n")
    assert (reading.network_rx, reading.network_tx) == (6, 7)


def test_without_tmux_nothing_is_said_of_terminals() -> None:
    reading = parse_reading("\n".join(line for line in ANSWER.split("\n") if line.split()[:1] != ["window"]))
    assert reading.output_age_s is None


def test_what_comes_before_the_mark_is_not_read() -> None:
    assert parse_reading("cpu 1 1 1 1\nuptime 5\n") == Reading()


def test_a_long_welcome_hides_nothing() -> None:
    assert parse_reading("Welcome!\n" * 20_000 + ANSWER) == parse_reading(ANSWER)


@pytest.mark.parametrize("line", ["cpu 1 1 1 1 1 1 1 1", "net 1 5 5", "window 1", "x"])
def test_what_comes_after_a_flood_is_not_read(line: str) -> None:
    """The user's own programs can print 256 KiB, and it is parsed on the event loop."""
    flood = f"{line}\n" * (256 * 1024 // len(line))
    reading = parse_reading(f"devpocket-reading\nuptime 5\n{flood}load 1 1 1\n")
    assert (reading.uptime_s, reading.load_average) == (5, None)


def test_several_hundred_windows_and_devices_fit() -> None:
    network, windows = "net 0 123456789 123456789\n" * 200, "window 1700000000\n" * 300
    reading = parse_reading(f"devpocket-reading\n{network}{windows}now 1700000007\n")
    assert (reading.network_rx, reading.output_age_s) == (200 * 123456789, 7)


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (CPUTimes(10, 100), CPUTimes(60, 200), 50.0),
        (CPUTimes(10, 100), CPUTimes(10, 200), 0.0),
        (CPUTimes(0, 0), CPUTimes(300, 300), 100.0),
        (None, CPUTimes(30, 300), 10.0),
        (CPUTimes(900, 1000), CPUTimes(30, 300), 10.0),  # it has booted since
        (CPUTimes(10, 300), CPUTimes(10, 300), 3.33),
        (None, CPUTimes(0, 0), 0.0),
    ],
)
def test_cpu_between_two_looks(before: CPUTimes | None, after: CPUTimes, percent: float) -> None:
    assert cpu_percent(before, after) == percent


TIMES = st.builds(CPUTimes, st.integers(0, 2**63), st.integers(0, 2**63))


@given(st.none() | TIMES, TIMES)
def test_cpu_is_always_a_percentage(before: CPUTimes | None, after: CPUTimes) -> None:
    assert 0.0 <= cpu_percent(before, after) <= 100.0


WORDS = st.sampled_from(
    "cpu MemTotal: MemAvailable: net uptime load window client now 0 1 -1 nan inf 1e999 34% / . \u0663 \n".split(" ")
)
LINES = st.lists(st.lists(WORDS | st.integers().map(str) | st.text(max_size=5), max_size=12).map(" ".join))


def assert_sane(reading: Reading) -> None:
    for percent in (reading.memory_percent, reading.storage_percent):
        assert percent is None or 0.0 <= percent <= 100.0
    for number in (reading.network_rx, reading.network_tx, reading.uptime_s, reading.output_age_s):
        assert number is None or 0 <= number < 2**63
    json.dumps(dataclasses.asdict(reading), allow_nan=False)


@given(LINES)
def test_any_lines_give_a_reading_that_can_be_kept_and_sent(lines: list[str]) -> None:
    assert_sane(parse_reading("devpocket-reading\n" + "\n".join(lines)))


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")))
def test_any_text_gives_a_reading(text: str) -> None:
    assert_sane(parse_reading(text))
    assert_sane(parse_reading("devpocket-reading" + text))


@given(st.integers(0, len(ANSWER)), st.integers(0, len(ANSWER)), st.text(max_size=4))
def test_a_mangled_answer_gives_a_reading(first: int, last: int, put: str) -> None:
    assert_sane(parse_reading(ANSWER[:first] + put + ANSWER[last:]))


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("interval_s", [0.0, 0.01])
def test_the_command_tells_of_this_host(shell: str, interval_s: float, tmp_path: Path) -> None:
    command = reading_command(interval_s=interval_s)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([shell, "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    reading = parse_reading(done.stdout)
    assert_sane(reading)
    assert reading.is_usable
    assert (reading.cpu_before is not None) == (interval_s > 0)
    fields = dataclasses.asdict(reading)
    unsaid = {name for name, value in fields.items() if value is None}
    assert unsaid <= {"cpu_before", "output_age_s", "network_rx", "network_tx"}  # a sandbox may have no network
    assert (reading.terminals, reading.output_age_s) == (0, None)


def test_a_terminal_and_its_output_are_seen(tmp_path: Path) -> None:
    """With nobody attached: the age is that of the output, not of a look."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}
    run = {"env": environment, "capture_output": True, "text": True, "check": True}
    subprocess.run(["tmux", "-f", "/dev/null", "new-session", "-d", "-s", "one", "echo here; exec cat"], **run)  # type: ignore[call-overload]
    try:
        done = subprocess.run(["sh", "-c", reading_command()], **run)  # type: ignore[call-overload]
    finally:
        subprocess.run(["tmux", "kill-server"], **run)  # type: ignore[call-overload]
    reading = parse_reading(done.stdout)
    assert reading.output_age_s is not None
    assert reading.output_age_s <= 5
    assert reading.terminals == 0
