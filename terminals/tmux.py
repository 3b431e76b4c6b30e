"""The shell commands by which a terminal lives in the machine's tmux. Pure."""

from __future__ import annotations

import re
import shlex

from environments.cloud_init import SHELL_COMMAND, TMUX_CONF

SESSION_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")

_ROOT = "${DEVPOCKET_ROOT:-}"  # empty on a real droplet
# The tmux server of the user, its socket in the home directory unless the machine says otherwise. The environment's
# variables are none of its business: the shell in its window reads them (cloud_init.SHELL_SCRIPT).
_PRELUDE = 'export LANG=C.UTF-8 TMUX_TMPDIR="${TMUX_TMPDIR:-$HOME/.tmux}"; mkdir -p -m 700 "$TMUX_TMPDIR"; '
_TMUX = f'tmux -u -f "{_ROOT}{TMUX_CONF}"'


def session_name(environment_id: str, name: str | None) -> str:
    """tmux's name for the environment's session, or for one of its further ones. Raises: ValueError for a bad name."""
    if name is None:
        return f"devpocket_{environment_id}"
    if not SESSION_NAME.match(name):
        raise ValueError("a session's name has 1 to 32 lower-case letters, digits and hyphens")
    return f"devpocket_{environment_id}_{name}"


def attach_command(session: str) -> str:
    """Create the session, or attach to it as it is."""
    return f"{_PRELUDE}exec {_TMUX} new-session -A -s {shlex.quote(session)}"


def view_command(session: str) -> str:
    """As attach_command(), for one who only looks: nothing they send is typed, and their window's size is not used."""
    name = shlex.quote(session)
    ensure = f"{_TMUX} new-session -d -s {name} 2>/dev/null"
    return f"{_PRELUDE}{ensure}; exec {_TMUX} attach-session -f read-only,ignore-size -t ={name}"


def shell_command() -> str:
    """A login shell without tmux, as tmux's windows have it."""
    return f'{_PRELUDE}cd; exec "{_ROOT}{SHELL_COMMAND}"'


# Numbers first: whatever a session is called, it is the rest of the line.
_LIST_FORMAT = "#{session_created} #{session_activity} #{session_attached} #{session_windows} #{session_name}"


def list_command() -> str:
    """All sessions of the machine's user, a line each: epoch seconds of its beginning and its last use, how many
    clients and windows it has, its name. Exit status 1 and a sentence: there is none."""
    return f"{_PRELUDE}exec tmux list-sessions -F {shlex.quote(_LIST_FORMAT)} 2>&1"


def kill_command(*sessions: str) -> str:
    """End these sessions, with all that runs in them. Exit status 1 and a sentence: the last one is not there."""
    # "=": tmux would take a beginning of the name as well.
    return _PRELUDE + "; ".join(f"tmux kill-session -t {shlex.quote('=' + session)} 2>&1" for session in sessions)
