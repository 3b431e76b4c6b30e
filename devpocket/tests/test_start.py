"""What stops a start, each with one sentence, and what `make run` prepares."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devpocket import bootstrap
from devpocket.settings_table import production
from devpocket.testing.processes import ROOT

PRODUCTION = {**production(), "DOTENV": os.devnull}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **PRODUCTION, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_complete_production_setting_starts_and_has_nothing_to_be_warned_of() -> None:
    result = manage("check", "--deploy", "--fail-level", "DEBUG")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("check", "SECRET_KEY", ""), ("serve", "PUBLIC_URL", "http://example.org"), ("migrate", "MAX_SNAPSHOTS", "many")],
)
def test_a_bad_setting_is_one_sentence_and_status_1(command: str, name: str, value: str) -> None:
    result = manage(command, **{name: value})
    assert result.returncode == 1
    assert result.stderr.startswith(f"devpocket: {name} ")
    assert (result.stderr.count("\n"), result.stdout) == (1, "")


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = manage("serve", "--port", str(port), DEBUG="true")
    assert result.returncode == 1
    assert f"port {port} on 127.0.0.1 can't be used" in result.stderr
    assert result.stderr.count("\n") == 1


def test_runserver_is_the_one_that_serves_asgi() -> None:
    assert "daphne" in manage("runserver", "--help").stdout


def test_develop_wants_debug() -> None:
    result = manage("develop")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)


def test_the_local_cloud_wants_debug() -> None:
    assert "DEBUG" in manage("localcloud").stderr


def test_dotenv_is_written_once_with_secrets_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    bootstrap.ensure_dotenv(one)
    bootstrap.ensure_dotenv(other)
    written = one.read_text()
    assert one.stat().st_mode & 0o777 == 0o600
    assert written != other.read_text()
    bootstrap.ensure_dotenv(one)
    assert one.read_text() == written


def test_an_old_python_and_a_missing_tmux_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(bootstrap.Missing, match="tmux"):
        bootstrap.check_machine()
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(bootstrap.Missing, match=r"Python 3\.11 or newer"):
        bootstrap.check_machine()
