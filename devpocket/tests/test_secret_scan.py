"""The scanner of all log lines (devpocket/testing/secret_scan.py) can fail: for its own process, and for a child."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devpocket.testing.processes import ROOT

TEST = """
from pathlib import Path

import structlog

from devpocket.logs import logging_config
from devpocket.testing.processes import Process
from devpocket.testing.secret_scan import learn

logging_config(json=True, level="INFO")  # which settings do, and this run has none


def test_own() -> None:
    learn({"ticket": "a-ticket-of-this-test"})
    structlog.get_logger("devpocket.planted").info("planted", note="a-ticket-of-this-test")
    structlog.get_logger("devpocket.planted").info("planted", note="nothing")


def test_child(tmp_path: Path) -> None:
    child = "print('ready'); print('GET /?token=told')"
    Process(["-c", child], environment={}, log=tmp_path / "child.log", ready="ready").stop()
"""


@pytest.mark.timeout(120)
def test_a_secret_in_a_line_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(TEST)
    plugins = ["-p", "devpocket.testing.environment", "-p", "devpocket.testing.secret_scan", "-p", "no:django"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-c", os.devnull, "-p", "no:cacheprovider", *plugins]
    done = subprocess.run(
        [*command, str(tmp_path / "test_planted.py")],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = done.stdout
    assert "2 passed" in told, told
    assert done.returncode == 1
    assert re.findall("SECRET IN A LOG: (devpocket.planted|child.log)", told) == ["devpocket.planted", "child.log"]
    assert re.findall(r"(\d+) log lines were read for secrets: (\d+) found", told) == [("4", "2")]
