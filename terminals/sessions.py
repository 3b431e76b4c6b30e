"""The tmux sessions of an environment, as they are on its machine: seen and ended from outside, over SSH.

No database connection is held while the machine is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from channels.db import database_sync_to_async

from devpocket.errors import NotFound, ServiceUnavailable
from environments import connections
from environments.lifecycle import Phase
from environments.selectors import get_environment
from environments.services import invalid_state
from environments.ssh import HostKeyMismatch, Result, SSHUnavailable, Target
from terminals.tmux import SESSION_NAME, kill_command, list_command, session_name

log = structlog.get_logger(__name__)

ANSWER_LIMIT_S = 8.0  # dialling included
RETRY_AFTER_S = 5
_LINE = re.compile(r"(?a:(\d{1,11}) (\d{1,11}) (\d{1,9}) (\d{1,9})) (.+)")
# What tmux 3 says, with exit status 1, where there is no such session, or no server that could have one.
_NONE_THERE = ("no server running", "No such file or directory", "Connection refused", "can't find session")


@dataclass(frozen=True, slots=True)
class TmuxSession:
    """`name` None: the environment's own. `session`: what tmux calls it. `attached`: tmux clients, not people."""

    name: str | None
    session: str
    created_at: datetime
    last_activity_at: datetime
    attached: int
    windows: int


async def sessions_list(*, environment_id: UUID, owner_id: UUID) -> list[TmuxSession]:
    """Oldest first. Raises: NotFound, InvalidState (not running), ServiceUnavailable (its machine doesn't answer)."""
    target = await database_sync_to_async(_target)(environment_id, owner_id)
    return await _list(target, environment_id)


async def session_kill(*, environment_id: UUID, owner_id: UUID, name: str) -> None:
    """End one session, by its name or by tmux's, with all that runs in it. Raises: as sessions_list."""
    target = await database_sync_to_async(_target)(environment_id, owner_id)
    session = _session_of(environment_id, name)
    if session is None or _is_none_there(await _run(target, kill_command(session), environment_id)):
        raise NotFound("There is no such session.")
    log.info("session_killed", environment=str(environment_id), session=session)


async def sessions_kill_all(*, environment_id: UUID, owner_id: UUID) -> None:
    """End every session of the environment; those that its user began in tmux on their own stay. Raises: as above."""
    target = await database_sync_to_async(_target)(environment_id, owner_id)
    found = [session.session for session in await _list(target, environment_id)]
    if found:
        await _run(target, kill_command(*found), environment_id)
        log.info("sessions_killed", environment=str(environment_id), sessions=len(found))


def parse_sessions(text: str, environment_id: UUID) -> list[TmuxSession]:
    """What list_command printed, oldest first. Total: lines that are none of this environment's are left out."""
    found = []
    for line in filter(None, map(_LINE.fullmatch, text.splitlines())):
        created, active, attached, windows, session = line.groups()
        if _is_of(environment_id, session):
            name = session.removeprefix(session_name(str(environment_id), None)).removeprefix("_") or None
            times = (datetime.fromtimestamp(int(seconds), UTC) for seconds in (created, active))
            found.append(TmuxSession(name, session, *times, attached=int(attached), windows=int(windows)))
    return sorted(found, key=lambda session: (session.created_at, session.session))


def _is_of(environment_id: UUID, session: str) -> bool:
    """Whether tmux's name for a session is one that we give to those of this environment."""
    own = session_name(str(environment_id), None)
    further = session.removeprefix(f"{own}_")
    return session == own or (further != session and SESSION_NAME.match(further) is not None)


def _session_of(environment_id: UUID, name: str) -> str | None:
    """tmux's name of the session that is called either way; None: no session can be called so."""
    if _is_of(environment_id, name):
        return name
    return session_name(str(environment_id), name) if SESSION_NAME.match(name) else None


def _target(environment_id: UUID, owner_id: UUID) -> Target:
    """Sync."""
    environment = get_environment(environment_id, owner_id=owner_id)
    if environment.phase != Phase.RUNNING:
        raise invalid_state(environment, "This environment is not running, so it has no sessions.")
    try:
        return connections.target_for(environment)
    except ValueError as error:
        raise _unavailable(environment_id, str(error)) from error


async def _list(target: Target, environment_id: UUID) -> list[TmuxSession]:
    result = await _run(target, list_command(), environment_id)
    return [] if _is_none_there(result) else parse_sessions(result.stdout, environment_id)


async def _run(target: Target, command: str, environment_id: UUID) -> Result:
    try:
        result = await connections.pool.run(target, command, timeout_s=ANSWER_LIMIT_S)
    except (SSHUnavailable, HostKeyMismatch) as error:
        raise _unavailable(environment_id, str(error)) from error
    if result.exit_status != 0 and not _is_none_there(result):
        raise _unavailable(environment_id, f"tmux ended with {result.exit_status}: {result.stdout[:200]}")
    return result


def _is_none_there(result: Result) -> bool:
    return result.exit_status == 1 and any(words in result.stdout for words in _NONE_THERE)


def _unavailable(environment_id: UUID, reason: str) -> ServiceUnavailable:
    log.info("sessions_unavailable", environment=str(environment_id), error=reason)
    return ServiceUnavailable("The environment's machine doesn't answer now.", retry_after_s=RETRY_AFTER_S)
