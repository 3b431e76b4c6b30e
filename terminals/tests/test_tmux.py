"""Names and commands of tmux sessions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.tmux import SESSION_NAME, attach_command, session_name

ID = "5d0c1d7e-0000-4000-8000-000000000000"


def test_an_environment_has_one_session_and_may_have_more() -> None:
    assert session_name(ID, None) == f"devpocket_{ID}"
    assert session_name(ID, "logs-2") == f"devpocket_{ID}_logs-2"


@pytest.mark.parametrize("name", ["", "A", "a b", "a_b", "é", "a\n", "x" * 33, "a.b", "a:b", "$(id)"])
def test_bad_session_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="session's name"):
        session_name(ID, name)


@given(st.text(max_size=40))
def test_only_harmless_names_pass(name: str) -> None:
    if SESSION_NAME.match(name):
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert 1 <= len(name) <= 32


@pytest.mark.parametrize("session", ["plain", 'it\'s; echo $HOME `id` \\ "x"\n*'])
def test_the_session_name_reaches_tmux_as_it_is(session: str, tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text('#!/bin/sh\nprintf "%s\\0" "$LANG" "$TMUX_TMPDIR" "$@"\n')
    (tmp_path / "tmux").chmod(0o755)
    home = tmp_path / "ho me"
    home.mkdir()
    given_env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(home), "DEVPOCKET_ROOT": "/a disk"}
    printed = subprocess.run(
        ["sh", "-c", attach_command(session)], env=given_env, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    conf = "/a disk/etc/devpocket/tmux.conf"
    assert printed == ["C.UTF-8", f"{home}/.tmux", "-u", "-f", conf, "new-session", "-A", "-s", session, ""]
    assert (home / ".tmux").stat().st_mode & 0o777 == 0o700


def test_where_the_machine_keeps_its_sockets_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text('#!/bin/sh\nprintf %s "$TMUX_TMPDIR"\n')
    (tmp_path / "tmux").chmod(0o755)
    given_env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/nowhere", "TMUX_TMPDIR": str(tmp_path / "own")}
    printed = subprocess.run(
        ["sh", "-c", attach_command("x")], env=given_env, capture_output=True, text=True, check=True
    ).stdout
    assert printed == str(tmp_path / "own")
