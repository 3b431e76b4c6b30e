"""Files that are followed: every line once, whatever becomes of them and however they are read."""

from __future__ import annotations

import base64
import itertools
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments import log_files
from environments.log_files import IncompleteAnswer, LineSplitter, LogFiles, merged
from environments.log_lines import Level, Line, Source

NOW = datetime(2099, 1, 1, tzinfo=UTC)


class Disk:
    """A machine's disk, whose shell is a real one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        found = self.root / {"install": "var/log/devpocket/install.log"}.get(name, name)
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def add(self, name: str, text: str) -> None:
        with self.path(name).open("a") as file:
            file.write(text)

    def answer(self, files: LogFiles, shell: str = "sh") -> str:
        done = subprocess.run(
            [shell, "-c", files.command()],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root / "home"), "DEVPOCKET_ROOT": str(self.root)},
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stderr == ""
        assert len(done.stdout) < 256 * 1024
        return done.stdout

    def read(self, files: LogFiles) -> list[str]:
        """The messages of one read."""
        return [line.message for group in files.take(self.answer(files), now=NOW)[0] for line in group]

    def read_all(self, files: LogFiles) -> list[str]:
        found: list[str] = []
        for _ in range(1000):
            groups, has_more = files.take(self.answer(files), now=NOW)
            found += [line.message for group in groups for line in group]
            if not has_more:
                return found
        raise AssertionError("there is more and more")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def files() -> LogFiles:
    return LogFiles(from_end=False)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_machine_without_logs_has_none(shell: str, disk: Disk, files: LogFiles) -> None:
    assert files.take(disk.answer(files, shell), now=NOW) == ([], False)


def test_what_was_read_does_not_come_again(disk: Disk, files: LogFiles) -> None:
    disk.add("install", "2026-01-01T10:00:00Z [core_tools] one\n2026-01-01T10:00:01Z [core_tools] tw")
    [[line]], _ = files.take(disk.answer(files), now=NOW)
    assert (line.message, line.phase, line.source) == ("one", "core_tools", Source.INSTALL)
    assert disk.read(files) == []
    disk.add("install", "o\nthree\n")
    assert disk.read(files) == ["two", "three"]
    assert disk.read(files) == []


def test_every_file_is_followed(disk: Disk, files: LogFiles) -> None:
    names = {
        "var/log/cloud-init-output.log": "out",
        "var/log/devpocket/install.log": "step",
        "var/lib/devpocket/progress": "2026-01-01T10:00:00Z 30 core_tools Tools",
        "var/log/devpocket/app.log": "app",
        "home/.devpocket/logs/my worker.log": "worker",
    }
    for _ in range(2):
        for name, text in names.items():
            disk.add(name, f"{text}\n")
        assert sorted(disk.read(files)) == ["Tools (core_tools, 30 %)", "app", "out", "step", "worker"]


def test_a_file_that_was_cut_short_begins_anew(disk: Disk, files: LogFiles) -> None:
    disk.add("install", "one\ntwo\nunfinished")
    assert disk.read(files) == ["one", "two"]
    os.truncate(disk.path("install"), 0)
    disk.add("install", "new\n")
    assert disk.read_all(files) == ["unfinished", "new"]


def test_a_file_that_was_written_anew_and_is_longer_begins_anew(disk: Disk, files: LogFiles) -> None:
    disk.add("install", "one\ntwo\nunfinished")
    assert disk.read(files) == ["one", "two"]
    os.truncate(disk.path("install"), 0)
    disk.add("install", "".join(f"{number}\n" for number in range(100)))
    assert disk.read_all(files) == ["unfinished", *map(str, range(100))]


def test_another_file_of_the_name_begins_at_its_beginning(disk: Disk, files: LogFiles) -> None:
    disk.add("install", "one\nunfinished")
    assert disk.read(files) == ["one"]
    disk.path("install").rename(disk.root / "install.log.1")
    disk.add("install", "two\n")
    assert disk.read_all(files) == ["unfinished", "two"]
    assert disk.read_all(files) == []


def test_an_application_that_starts_a_new_log(disk: Disk, files: LogFiles) -> None:
    disk.add("home/.devpocket/logs/app.log", "one\n")
    assert disk.read(files) == ["one"]
    disk.add("home/.devpocket/logs/app-2.log", "two\n")
    disk.add("home/.devpocket/logs/app.log", "three\n")
    assert sorted(disk.read(files)) == ["three", "two"]


def test_a_log_that_is_silent_for_long_does_not_come_again(disk: Disk, files: LogFiles) -> None:
    for number in range(log_files.APPLICATION_FILES_MAX + 2):
        disk.add(f"home/.devpocket/logs/{number}.log", f"line {number}\n")
        os.utime(disk.path(f"home/.devpocket/logs/{number}.log"), (number + 1, number + 1))
        assert disk.read(files) == [f"line {number}"]
    os.utime(disk.path("home/.devpocket/logs/0.log"))
    assert disk.read(files) == []


def test_two_names_of_one_file_are_one_log(disk: Disk, files: LogFiles) -> None:
    disk.add("home/.devpocket/logs/app-today.log", "one\n")
    (disk.root / "home/.devpocket/logs/app.log").symlink_to("app-today.log")
    os.link(disk.path("home/.devpocket/logs/app-today.log"), disk.root / "home/.devpocket/logs/also.log")
    assert disk.read(files) == ["one"]
    disk.add("home/.devpocket/logs/app.log", "two\n")
    assert disk.read(files) == ["two"]


def test_what_is_no_file_holds_nothing_up(disk: Disk, files: LogFiles) -> None:
    logs = disk.path("home/.devpocket/logs/real.log").parent
    os.mkfifo(logs / "pipe.log")
    (logs / "zero.log").symlink_to("/dev/zero")
    (logs / "nowhere.log").symlink_to("/no/such/file")
    disk.add("home/.devpocket/logs/real.log", "here\n")
    assert disk.read(files) == ["here"]


@pytest.mark.parametrize("sudo", ["exit 1", 'shift; exec "$@"'])
def test_a_real_machine_whose_user_is_in_no_group_yet(sudo: str, disk: Disk, files: LogFiles) -> None:
    """Not in sudoers either, or just put there."""
    disk.add(".devpocket/logs/app.log", "mine\n")
    for name, text in {"id": "echo devpocket", "sudo": sudo}.items():
        disk.add(f"bin/{name}", f"#!/bin/sh\n{text}\n")
        disk.path(f"bin/{name}").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", files.command()],
        env={"PATH": f"{disk.root}/bin:{os.environ['PATH']}", "HOME": str(disk.root)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    groups, _ = files.take(done.stdout, now=NOW)
    assert [line.message for group in groups for line in group if line.source == Source.APPLICATION] == ["mine"]


def lines(count: int) -> list[str]:
    return [f"line {number:6}" for number in range(count)]


def test_large_files_come_in_pieces_from_their_beginnings(disk: Disk, files: LogFiles) -> None:
    everything = lines(20_000)
    disk.add("install", "\n".join(everything) + "\n")
    groups, has_more = files.take(disk.answer(files), now=NOW)
    first = [line.message for group in groups for line in group]
    assert has_more
    assert first + disk.read_all(files) == everything


def test_large_files_come_from_their_ends_where_that_is_wanted(disk: Disk) -> None:
    files = LogFiles(from_end=True)
    disk.add("install", "\n".join(lines(20_000)) + "\n")
    found = disk.read_all(files)
    assert 3000 < len(found) < 5000
    assert found == lines(20_000)[-len(found) :]
    disk.add("home/.devpocket/logs/app.log", "\n".join(lines(20_000)) + "\n")  # a new one: all of it
    assert disk.read_all(files) == lines(20_000)


@pytest.mark.parametrize("from_end", [True, False])
def test_an_end_that_begins_with_a_line_has_that_line(from_end: bool, disk: Disk) -> None:
    line = "x" * 1023
    disk.add("install", f"{line}\n" * 49)
    assert disk.read_all(LogFiles(from_end=from_end)) == [line] * (48 if from_end else 49)


def test_who_is_too_far_behind_is_told(disk: Disk, files: LogFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "BEHIND_MAX_BYTES", 100_000)
    disk.add("install", "one\nunfinished")
    disk.read(files)
    disk.add("install", "\n" + "\n".join(lines(20_000)) + "\n")
    skipped = disk.path("install").stat().st_size - 48 * 1024 - len("one+unfinished")
    ended, gap, *rest = disk.read_all(files)
    assert (ended, gap) == ("unfinished", f"Left out: {skipped:,} bytes of the install log")
    assert rest == lines(20_000)[-len(rest) :]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "end",
        "\n",
        "end\n\n",
        "x\n\nend\n",
        "install 1:2 3 4 0\nYWJj\n",
        "install 1:2 3 4 0\nend\n",
        "install 1:2 3 4 0\n!\nend\n",
    ],
)
def test_nothing_is_taken_of_what_is_no_whole_answer(answer: str, disk: Disk, files: LogFiles) -> None:
    disk.add("install", "one\n")
    whole = disk.answer(files)
    with pytest.raises(IncompleteAnswer):
        files.take(answer, now=NOW)
    assert len(files.take(whole, now=NOW)[0]) == 1


def test_an_answer_that_was_cut_off_anywhere_is_taken_later(disk: Disk, files: LogFiles) -> None:
    disk.add("install", "one\n")
    disk.add("var/log/devpocket/app.log", "two\n")
    whole = disk.answer(files)
    for end in range(len(whole)):
        with pytest.raises(IncompleteAnswer):
            files.take(whole[:end], now=NOW)
    assert disk.read(files) == ["one", "two"]


NUMBERS = st.integers(0, 10**15 - 1) | st.integers(0, 100)
SECTIONS = st.builds(
    "{} {}:{} {} {} {}\n{}\n".format,
    st.sampled_from(["cloud-init", "install", "progress", "application"]),
    st.integers(0, 2),
    st.integers(0, 2),
    NUMBERS,
    st.integers(0, 10**10 - 1),
    NUMBERS,
    st.sampled_from(["", "YQ==", "YQpi", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhCg=="]),
)


@given(st.lists(st.lists(SECTIONS).map("".join).map("{}end\n".format) | st.text(), max_size=5))
def test_whatever_a_machine_answers(answers: list[str]) -> None:
    files = LogFiles(from_end=False)
    for answer in answers:
        try:
            groups, _ = files.take(answer, now=NOW)
        except IncompleteAnswer:
            continue
        assert all(group for group in groups)
    assert len(files.command()) < 20_000


# --- Lines


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for first, last in itertools.pairwise(places):
        yield data[first:last]


BYTES = st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\r\n", "é🙂".encode(), b"\xff"])).map(b"".join)


@given(BYTES, st.lists(st.integers(0)), st.booleans())
def test_lines_are_the_same_however_they_come(data: bytes, cuts: list[int], is_inside: bool) -> None:
    splitter = LineSplitter(is_inside=is_inside)
    found = [line for piece in pieces(data, cuts) for line in splitter.feed(piece)]
    whole = [line.decode(errors="replace") for line in data.split(b"\n")]
    skipped = 1 if is_inside else 0
    assert found == whole[skipped:-1]
    assert splitter.flush() == ([whole[-1]] if whole[-1] and len(whole) > skipped else [])
    assert splitter.flush() == []


@given(BYTES, st.lists(st.integers(0)), st.integers(1, 30))
def test_long_lines_are_cut_the_same_however_they_come(data: bytes, cuts: list[int], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "LINE_MAX_BYTES", limit)
        splitter = LineSplitter()
        found = [line for piece in pieces(data, cuts) for line in splitter.feed(piece)]
        at_once = LineSplitter()
        assert found == at_once.feed(data)
        assert splitter.flush() == at_once.flush()
        assert len(found) == data.count(b"\n")
        for line, whole in zip(found, data.split(b"\n"), strict=False):
            assert whole.decode(errors="replace").startswith(line.rstrip("\ufffd"))
            assert len(line) <= limit


def test_a_line_without_an_end_takes_no_room() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 100_000) == []
    [line] = splitter.feed(b"\nnext")
    assert line == "x" * log_files.LINE_MAX_BYTES
    assert splitter.flush() == ["next"]


@given(st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=4))
def test_files_are_merged_by_time_each_in_its_own_order(minutes: list[list[int]]) -> None:
    groups = [
        [
            Line(NOW - timedelta(minutes=minute), Level.INFO, Source.SYSTEM, f"{number} {position}")
            for position, minute in enumerate(group)
        ]
        for number, group in enumerate(minutes)
    ]
    found = merged(groups)
    assert len(found) == sum(map(len, groups))
    for number, group in enumerate(groups):
        assert [line for line in found if line.message.startswith(f"{number} ")] == group
    if all(group == sorted(group, reverse=True) for group in minutes):
        assert [line.at for line in found] == sorted(line.at for line in found)


# --- Any life of a file

STEPS = st.lists(
    st.tuples(st.just("add"), st.text("ab\n", max_size=60))
    | st.tuples(st.sampled_from(["read", "truncate", "replace", "lose"]), st.just("")),
    max_size=20,
)


def machine_answer(command: str, content: bytes, inode: int, limit: int) -> str:
    """What the command would give of one file, by what it says it knows."""
    known = dict(word.split("=") for word in command.partition('known="')[2].partition('"')[0].split())
    start = int(known.get(f"1:{inode}", 0))
    start = start if start <= len(content) else 0
    first = max(0, start - log_files.BACK_BYTES)
    data = content[first : start + limit] if len(content) > start else b""
    encoded = base64.b64encode(data).decode()
    return f"install 1:{inode} {len(content)} 1767261600 {start}\n{encoded}\nend\n"


@given(STEPS, st.integers(1, 20))
def test_whatever_becomes_of_a_file_each_of_its_lines_comes_once(steps: list[tuple[str, str]], limit: int) -> None:
    """Every line has a number of its own: one file's contents never pass for another's."""
    files, content, inode, number, read_to = LogFiles(from_end=False), b"", 1, 0, 0
    expected: list[str] = []
    found: list[str] = []

    def add(word: str) -> None:
        nonlocal content, number
        expected.append(f"{number}:{word}")
        content += f"{number}:{word}\n".encode()
        number += 1

    def read_all() -> None:
        nonlocal read_to
        if len(content) == read_to:  # one that was written anew to the very length it had looks as if nothing was
            add("more")
        has_more = True
        while has_more:
            groups, has_more = files.take(machine_answer(files.command(), content, inode, limit), now=NOW)
            found.extend(line.message for group in groups for line in group)
        read_to = len(content)

    for step, text in [*steps, ("read", "")]:
        if step == "add":
            for word in text.split("\n"):
                add(word)
        elif step == "lose":  # an answer that never came: nothing was taken of it
            files.command()
        else:
            read_all()  # what is in a file that is taken away unread is nobody's
        if step in ("truncate", "replace"):
            content, inode = b"", inode + (step == "replace")
    assert found == expected
