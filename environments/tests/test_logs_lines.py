"""What a machine's logs say, whatever is in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devpocket.times import time_text
from environments.log_lines import Level, Line, Source, logs_command, parse_logs, select

MARK = "0123456789abcdef"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGED = datetime(2026, 3, 1, 11, tzinfo=UTC)


def section(name: str, *lines: str, limit: int = 10_000, size: int = 1) -> str:
    return f"\n{MARK} {name} {limit} {int(CHANGED.timestamp())} {size}\n" + "\n".join(lines)


def parse(*sections: str) -> list[tuple[str, str, str, str]]:
    lines = parse_logs("".join(sections), MARK, now=NOW)
    return [(f"{line.at:%m-%d %H:%M:%S}", str(line.level), str(line.source), line.message) for line in lines]


def test_cloud_init_output_takes_its_times_from_the_lines_that_have_one() -> None:
    found = parse(
        section(
            "cloud-init",
            "before",
            "Cloud-init v. 24.1.3-0ubuntu3.3 running 'init' at Sun, 01 Mar 2026 10:00:00 +0000. Up 6.54 seconds.",
            "+ apt-get install",
            "2026-03-01 10:00:07,123 - cloud-init[WARNING]: no such device",
            "E: Unable to locate package nope",
            "",
            "W: skipped",
        )
    )
    running = "Cloud-init v. 24.1.3-0ubuntu3.3 running 'init' at Sun, 01 Mar 2026 10:00:00 +0000. Up 6.54 seconds."
    assert found == [
        ("03-01 10:00:00", "INFO", "cloud-init", "before"),
        ("03-01 10:00:00", "INFO", "cloud-init", running),
        ("03-01 10:00:00", "INFO", "cloud-init", "+ apt-get install"),
        ("03-01 10:00:07", "WARN", "cloud-init", "cloud-init[WARNING]: no such device"),
        ("03-01 10:00:07", "ERROR", "cloud-init", "E: Unable to locate package nope"),
        ("03-01 10:00:07", "WARN", "cloud-init", "W: skipped"),
    ]


def test_a_file_without_times_has_that_of_its_last_change() -> None:
    assert parse(section("install", "Reading package lists...")) == [
        ("03-01 11:00:00", "INFO", "install", "Reading package lists...")
    ]


def test_the_journal_tells_levels_by_its_priorities() -> None:
    plain = "2026-03-01T10:00:00+0000 box systemd[1]: Started it."
    bad = "2026-03-01T11:00:01+01:00 box app[7]: it went wrong"
    odd = "2026-03-01T10:00:02+0000 box kernel: odd"
    found = parse(
        section("journal", "-- Boot 0123 --", plain, bad, odd),
        section("journal-error", bad),
        section("journal-warning", bad, odd),
    )
    assert found == [
        ("03-01 10:00:00", "INFO", "system", "systemd[1]: Started it."),
        ("03-01 10:00:01", "ERROR", "system", "app[7]: it went wrong"),
        ("03-01 10:00:02", "WARN", "system", "kernel: odd"),
    ]


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("2026-02-28T23:00:00.123456+00:00 box cron[1]: run", "02-28 23:00:00"),
        ("Feb 28 23:00:00 box cron[1]: run", "02-28 23:00:00"),
        ("Dec  1 23:00:00 box cron[1]: run", "12-01 23:00:00"),
    ],
)
def test_syslogs_new_and_old(line: str, at: str) -> None:
    [line_found] = parse_logs(section("syslog", line), MARK, now=NOW)
    assert f"{line_found.at:%m-%d %H:%M:%S}" == at
    assert timedelta(0) <= NOW - line_found.at < timedelta(days=366)
    assert line_found.message == "cron[1]: run"


@pytest.mark.parametrize(
    ("line", "at", "message"),
    [
        ("2026-03-01T10:00:00Z started", "03-01 10:00:00", "started"),
        ("[2026-03-01 10:00:00] started", "03-01 10:00:00", "started"),
        ("2026-03-01 10:00:00.5 started", "03-01 10:00:00", "started"),
        ("2026-03-01T10:00:00+05:30: started", "03-01 04:30:00", "started"),
        ("2026-13-01T10:00:00Z started", "03-01 11:00:00", "2026-13-01T10:00:00Z started"),
        ("0001-01-01T00:00:00+14:00 started", "03-01 11:00:00", "0001-01-01T00:00:00+14:00 started"),
        ("2026-03-01T10:00:00+99:99 started", "03-01 11:00:00", "2026-03-01T10:00:00+99:99 started"),
        ("no time", "03-01 11:00:00", "no time"),
    ],
)
def test_times_of_applications(line: str, at: str, message: str) -> None:
    assert parse(section("application", line)) == [(at, "INFO", "application", message)]


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("[ERROR] x", "ERROR"),
        ("CRITICAL: x", "ERROR"),
        ("npm ERR! x", "INFO"),
        ("error: x", "ERROR"),
        ("Traceback (most recent call last):", "ERROR"),
        ("ValueError: x", "ERROR"),
        ("panic: x", "ERROR"),
        ("build failed: x", "ERROR"),
        ("WARNING x", "WARN"),
        ("warning: unused", "WARN"),
        ("INFO no ERROR", "INFO"),
        ("DEBUG x", "DEBUG"),
        ("0 errors, 0 warnings", "INFO"),
        ("liberror-perl installed", "INFO"),
        ("x" * 1000 + " ERROR", "INFO"),
    ],
)
def test_levels_by_words(message: str, level: str) -> None:
    assert [found[1] for found in parse(section("application", message))] == [level]


def test_the_progress_file_tells_of_the_set_up() -> None:
    assert parse(section("progress", "20 user_setup Setting up", "failed core_tools No packages", "odd")) == [
        ("03-01 11:00:00", "INFO", "devpocket", "Setting up (user_setup, 20 %)"),
        ("03-01 11:00:00", "ERROR", "devpocket", "No packages (core_tools, failed)"),
        ("03-01 11:00:00", "INFO", "devpocket", "odd"),
    ]


def test_the_progress_file_tells_its_own_times() -> None:
    lines = parse_logs(
        section(
            "progress",
            "2026-03-01T10:00:00Z 20 user_setup Setting up",
            "2026-03-01T10:00:05Z failed core_tools No packages",
            "250 core_tools without a time",
        ),
        MARK,
        now=NOW,
    )
    ten, soon_after = datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC)
    devpocket = Source.DEVPOCKET
    assert lines == [
        Line(ten, Level.INFO, devpocket, "Setting up (user_setup, 20 %)", "user_setup", 20),
        Line(soon_after, Level.ERROR, devpocket, "No packages (core_tools, failed)", "core_tools"),
        Line(soon_after, Level.INFO, devpocket, "without a time (core_tools, 100 %)", "core_tools", 100),
    ]
    assert all(line.is_installation for line in lines)


def test_the_install_log_tells_its_sub_phases() -> None:
    lines = parse_logs(
        section(
            "install",
            "2026-03-01T10:00:00Z [core_tools] E: Unable to locate package nope",
            "2026-03-01T10:00:01Z [core_tools] \x1b[32m[ok]\x1b[0m",
            "2026-03-01T10:00:02Z [core_tools] ",
            "2026-03-01T10:00:03Z [odd phase] x",
            "of an older machine",
        ),
        MARK,
        now=NOW,
    )
    assert [(f"{line.at:%H:%M:%S}", str(line.level), line.phase, line.message) for line in lines] == [
        ("10:00:00", "ERROR", "core_tools", "E: Unable to locate package nope"),
        ("10:00:01", "INFO", "core_tools", "[ok]"),
        ("10:00:03", "INFO", "", "[odd phase] x"),
        ("10:00:03", "INFO", "", "of an older machine"),
    ]
    assert all(line.is_installation for line in lines)


def test_the_journal_knows_levels_of_coloured_lines() -> None:
    bad = "2026-03-01T10:00:01Z box app[7]: \x1b[1mit went wrong\x1b[0m"
    assert parse(section("journal", bad), section("journal-error", bad)) == [
        ("03-01 10:00:01", "ERROR", "system", "app[7]: it went wrong")
    ]


def test_colours_and_progress_bars_leave_what_a_terminal_would_show() -> None:
    lines = ("\x1b[31mred\x1b[0m\r", "10%\r50%\r100%", "a\x00b\x07\tc", "\x1b]0;title\x07shell", "\x1b[2K")
    assert [found[3] for found in parse(section("application", *lines))] == ["red", "100%", "ab\tc", "shell"]


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert [found[3] for found in parse(section("install", "alf a line", "a line", limit=10, size=99))] == ["a line"]


def test_a_log_can_not_pose_as_another() -> None:
    assert parse(section("application", "fedcba9876543210 system 1 1 1", f" {MARK} system 1 1 1")) == [
        ("03-01 11:00:00", "INFO", "application", "fedcba9876543210 system 1 1 1"),
        ("03-01 11:00:00", "INFO", "application", f" {MARK} system 1 1 1"),
    ]


def test_a_line_as_text() -> None:
    line = Line(NOW, Level.WARN, Source.SYSTEM, "low: [disk]")
    assert str(line) == "2026-03-01T12:00:00Z [WARN] system: low: [disk]"


NAMES = ["cloud-init", "install", "progress", "application", "journal", "journal-error", "syslog", "other", ""]
TEXT = st.text() | st.sampled_from(
    "2026-03-01T10:00:00Z x|Cloud-init v. 1 at Xxx, 99 Zzz 2026 99:99:99 +9999.|Feb 30 10:00:00 a b|\x1b[|failed|20"
    "|2026-03-01 10:00:00,1 - |-- |9999-12-31T23:59:59-23:59 x|Foo 99 99:99:99 x| |[2026-03-01T10:00:00Z]".split("|")
)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.lists(TEXT), st.integers(), st.integers(), st.integers())))
def test_any_logs_are_read(sections: list[tuple[str, list[str], int, int, int]]) -> None:
    text = "".join(
        f"\n{MARK} {name} {limit} {changed} {size}\n" + "\n".join(lines)
        for name, lines, limit, changed, size in sections
    )
    for line in parse_logs(text, MARK, now=NOW):
        assert line.at.tzinfo == UTC
        assert line.message == line.message.rstrip() != ""
        assert not any(ord(character) < 32 and character != "\t" for character in line.message)
        assert len(line.message) <= 4001
        datetime.fromisoformat(time_text(line.at))
        assert str(line).startswith(time_text(line.at))


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")), st.text(min_size=1))
def test_any_text_is_read(text: str, mark: str) -> None:
    parse_logs(text, mark, now=NOW)
    parse_logs(f"\n{mark} {text}", mark, now=NOW)


LINES = st.lists(
    st.builds(
        Line,
        st.integers(0, 20).map(lambda minutes: NOW + timedelta(minutes=minutes)),
        st.sampled_from(Level),
        st.sampled_from(Source),
        st.just("x"),
    )
)


@given(
    LINES,
    st.sets(st.sampled_from(Level)),
    st.sets(st.sampled_from(Source)),
    st.none() | st.integers(0, 20).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    st.integers(1, 10),
)
def test_the_newest_of_what_matches(
    lines: list[Line], levels: set[Level], sources: set[Source], since: datetime | None, limit: int
) -> None:
    shown, total = select(lines, levels=levels, sources=sources, since=since, limit=limit)
    matching = [
        line
        for line in lines
        if line.level in levels and line.source in sources and (since is None or line.at >= since)
    ]
    assert total == len(matching)
    assert len(shown) == min(limit, total)
    assert [line.at for line in shown] == sorted(line.at for line in matching)[-limit:]


# --- The command, in real shells


def run(root: Path, sources: list[Source] | None = None, shell: str = "sh") -> list[Line]:
    home = root / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [shell, "-c", logs_command(MARK, sources if sources is not None else list(Source))],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "DEVPOCKET_ROOT": str(root)},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert len(done.stdout) < 256 * 1024
    return parse_logs(done.stdout.decode(errors="replace"), MARK, now=NOW)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_machine_without_logs_has_none(shell: str, tmp_path: Path) -> None:
    assert run(tmp_path, shell=shell) == []


def test_every_file_is_found(tmp_path: Path) -> None:
    write(tmp_path / "var/log/cloud-init-output.log", "one")  # without a newline at its end
    write(tmp_path / "var/log/devpocket/install.log", "two\n")
    write(tmp_path / "var/lib/devpocket/progress", "20 user_setup three\n")
    write(tmp_path / "var/log/devpocket/app-web.log", "four\n")
    write(tmp_path / "home/.devpocket/logs/my worker.log", "five\n")
    write(tmp_path / "home/.devpocket/logs/notes.txt", "not this\n")
    found = {(str(line.source), line.message) for line in run(tmp_path)}
    assert found == {
        ("cloud-init", "one"),
        ("install", "two"),
        ("devpocket", "three (user_setup, 20 %)"),
        ("application", "four"),
        ("application", "five"),
    }
    assert [line.message for line in run(tmp_path, [Source.INSTALL])] == ["two"]


def test_large_logs_give_their_ends(tmp_path: Path) -> None:
    long = "".join(f"line {number} {'x' * 100}\n" for number in range(10_000))
    for name in ("var/log/cloud-init-output.log", "var/log/devpocket/install.log", "var/lib/devpocket/progress"):
        write(tmp_path / name, long)
    for number in range(12):
        write(tmp_path / f"var/log/devpocket/app{number}.log", long)
    found = run(tmp_path)
    for source in (Source.CLOUD_INIT, Source.INSTALL, Source.APPLICATION):
        lines = [line.message for line in found if line.source == source]
        assert lines[-1].startswith("line 9999 ")
        assert all(line.startswith("line ") for line in lines)


def test_what_is_no_file_holds_nothing_up(tmp_path: Path) -> None:
    logs = tmp_path / "home/.devpocket/logs"
    logs.mkdir(parents=True)
    os.mkfifo(logs / "pipe.log")
    (logs / "zero.log").symlink_to("/dev/zero")
    (logs / "folder.log").mkdir()
    (logs / "nowhere.log").symlink_to("/no/such/file")
    write(logs / "real.log", "here\n")
    assert [line.message for line in run(tmp_path)] == ["here"]


JOURNALCTL = """\
#!/bin/sh
echo "$@" >> "$HOME/asked"
case "$*" in
*"-p err"*) echo "2026-03-01T10:00:01+0000 box app[7]: it went wrong" ;;
*"-p warning"*) echo "2026-03-01T10:00:01+0000 box app[7]: it went wrong" ;;
*) printf "%s\\n" "2026-03-01T10:00:00+0000 box app[7]: fine" "2026-03-01T10:00:01+0000 box app[7]: it went wrong" ;;
esac
"""


@pytest.mark.parametrize("groups", ["devpocket", "devpocket adm", "root"])
def test_the_journal_of_a_real_machine(groups: str, tmp_path: Path) -> None:
    """With sudo only where the user's groups don't give the right anyway: each use of it would be a line itself."""
    programs = tmp_path / "bin"
    for name, text in {
        "journalctl": JOURNALCTL,
        "id": f"#!/bin/sh\necho {groups}\n",
        "sudo": '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\necho sudo >> "$HOME/asked"\nexec "$@"\n',
    }.items():
        write(programs / name, text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", logs_command(MARK, [Source.SYSTEM])], env=environment, capture_output=True, check=True, text=True
    )
    found = [(str(line.level), line.message) for line in parse_logs(done.stdout, MARK, now=NOW)]
    assert found == [("INFO", "app[7]: fine"), ("ERROR", "app[7]: it went wrong")]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.count("sudo") == (3 if groups == "devpocket" else 0)
    assert all("-q --no-pager -o short-iso -n" in line for line in asked if line != "sudo")


@pytest.mark.parametrize("sudo", ["#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", None])
def test_a_machine_that_does_not_know_its_user_yet_gives_what_there_is(sudo: str | None, tmp_path: Path) -> None:
    """Neither in the group that may read logs, nor in sudoers: cloud-init has only just begun."""
    programs = tmp_path / "bin"
    write(programs / "id", "#!/bin/sh\necho devpocket\n")
    for name in ("sh", "ls", "head", "wc", "tail", "stat", "timeout", "mktemp", "cat", "rm"):
        (programs / name).symlink_to(shutil.which(name) or name)
    if sudo is not None:
        write(programs / "sudo", sudo)
    for program in ("id", "sudo"):
        if (programs / program).exists():
            (programs / program).chmod(0o755)
    write(tmp_path / ".devpocket/logs/app.log", "mine\n")
    done = subprocess.run(
        [programs / "sh", "-c", logs_command(MARK, [Source.APPLICATION, Source.SYSTEM])],
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    assert "mine" in [line.message for line in parse_logs(done.stdout, MARK, now=NOW)]
