"""The programs that machines are set up with, in a real shell, below a directory of the test's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from environments.cloud_init import authorized_keys_file, environment_file, parse_progress
from environments.set_up.steps import SCRIPTS, Recipe, script, steps_of

STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z ")


class Box:
    """A directory that stands for a machine's disk. `really`: steps are run, else told of, as on the local cloud."""

    def __init__(self, root: Path, *, really: bool = False) -> None:
        self.root = root
        self.lib = root / "usr/local/lib/devpocket"
        (self.lib / "steps").mkdir(parents=True)
        (root / "sbin").mkdir()
        for name in ("devpocket-setup", "devpocket-apply"):
            text = script(f"{name}.sh")
            text = text.replace('simulated="$root"', "simulated=") if really else text
            (root / "sbin" / name).write_text(text)

    def steps(self, *steps: tuple[str, str, int]) -> None:
        """(name, script, tries) each, run as root; then the finish."""
        lines = [
            f"{30 + at} core_tools root {tries} {name} Doing {name}\n" for at, (name, _, tries) in enumerate(steps)
        ]
        (self.lib / "steps.list").write_text("".join(lines) + "95 completion root 1 finish Finishing\n")
        for name, text, _ in steps:
            (self.lib / "steps" / name).write_text(text)

    def run(self, program: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "DEVPOCKET_ROOT": str(self.root)}
        command = ["sh", str(self.root / "sbin" / program), *arguments]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, timeout=60, check=False)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    @property
    def progress(self) -> list[str]:
        """Without times, which each line must have."""
        lines = self.read("var/lib/devpocket/progress").splitlines()
        assert all(STAMP.match(line) for line in lines)
        return [STAMP.sub("", line) for line in lines]

    @property
    def log(self) -> list[str]:
        lines = self.read("var/log/devpocket/install.log").splitlines()
        assert all(STAMP.match(line) for line in lines)
        return [STAMP.sub("", line) for line in lines]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path, really=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sleep").write_text("#!/bin/sh\n")  # between two tries
    (tmp_path / "bin/sleep").chmod(0o755)
    return box


def test_all_scripts_are_good_shell() -> None:
    for path in [*SCRIPTS.glob("*.sh"), *SCRIPTS.glob("steps/*.sh")]:
        subprocess.run(["sh", "-n", str(path)], check=True)
    assert len(list(SCRIPTS.glob("steps/*.sh"))) == 8


def test_each_step_is_done_once_and_told_of(box: Box) -> None:
    box.steps(("one", "echo first >> $DEVPOCKET_ROOT/ran; echo hello; echo oops >&2", 1), ("two", "true", 1))
    for name in ("one", "two", "finish", "one"):
        assert box.run("devpocket-setup", name).returncode == 0
    assert box.progress == [
        "30 core_tools Doing one",
        "31 core_tools Doing two",
        "100 completion Set-up complete",
    ]
    assert box.log == ["[core_tools] hello", "[core_tools] oops"]
    assert box.read("ran") == "first\n"
    before = box.progress
    box.run("devpocket-setup")
    assert (box.progress, box.read("ran")) == (before, "first\n")


def test_a_step_that_fails_keeps_no_other_back_and_is_done_at_the_next_boot(box: Box) -> None:
    flaky = '[ -e "$DEVPOCKET_ROOT/network" ] || { echo no network; exit 7; }'
    box.steps(("one", flaky, 2), ("two", "true", 1))
    assert box.run("devpocket-setup").returncode == 0
    assert box.progress == [
        "30 core_tools Doing one",
        "failed core_tools Doing one: this did not work",
        "31 core_tools Doing two",
        "failed completion Not installed: one",
    ]
    assert box.log[-1] == "[core_tools] one: failed with status 7, try 2 of 2"
    assert box.log.count("[core_tools] no network") == 2
    (box.root / "network").touch()
    box.run("devpocket-setup")
    assert box.progress[4:] == ["30 core_tools Doing one", "100 completion Set-up complete"]
    assert parse_progress(box.read("var/lib/devpocket/progress")).is_complete


def test_a_step_gets_no_input_and_its_last_line_may_lack_a_newline(box: Box) -> None:
    box.steps(("one", "cat; printf 'no newline'", 1))
    box.run("devpocket-setup", "one", stdin=b"swallowed?\n")
    assert box.log == ["[core_tools] no newline"]


def test_a_simulated_machine_tells_the_steps_and_installs_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (box.lib / "steps.list").write_text("".join(step.line for step in steps_of(Recipe(packages=("x",)))))
    assert box.run("devpocket-setup").returncode == 0
    progress = parse_progress(box.read("var/lib/devpocket/progress"))
    assert (progress.percent, progress.is_complete) == (100, True)
    assert "packages: a simulated machine" in box.read("var/log/devpocket/install.log")


# --- Keys and variables

KEYS = authorized_keys_file(["ssh-ed25519 AAAA ann"])


def test_a_text_is_put_in_place_and_put_back_at_the_next_boot(box: Box) -> None:
    assert box.run("devpocket-apply", "authorized_keys", stdin=KEYS.encode()).stdout == b"written\n"
    variables = environment_file({"A": "é\n'\x85"}, environment_id="1")
    assert box.run("devpocket-apply", "environment.sh", stdin=variables.encode()).stdout == b"written\n"
    assert box.read("etc/devpocket/authorized_keys") == KEYS
    (box.root / "etc/devpocket/authorized_keys").unlink()
    (box.root / "etc/devpocket/environment.sh").write_text("broken")
    assert box.run("devpocket-apply").returncode == 0
    assert box.read("etc/devpocket/authorized_keys") == KEYS
    assert box.read("etc/devpocket/environment.sh") == variables


def test_a_new_machine_begins_with_what_its_user_data_wrote(box: Box) -> None:
    (box.root / "etc/devpocket").mkdir(parents=True)
    (box.root / "etc/devpocket/authorized_keys").write_text(KEYS)
    (box.root / "etc/devpocket/environment.sh").write_text(environment_file({}, environment_id="1"))
    assert box.run("devpocket-apply").returncode == 0
    assert box.read("etc/devpocket/authorized_keys") == KEYS


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(KEYS) - 2))
def test_a_text_that_was_cut_anywhere_changes_nothing(box: Box, length: int) -> None:
    box.run("devpocket-apply", "authorized_keys", stdin=KEYS.encode())
    cut = box.run("devpocket-apply", "authorized_keys", stdin=KEYS.encode()[:length])
    assert (cut.returncode, cut.stdout) == (1, b"")
    assert box.read("etc/devpocket/authorized_keys") == KEYS


def test_no_other_file_can_be_written(box: Box) -> None:
    refused = box.run("devpocket-apply", "../shadow", stdin=KEYS.encode())
    assert (refused.returncode, refused.stdout) == (2, b"")
