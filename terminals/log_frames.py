"""What the server sends on the logs' WebSocket, as JSON text (contract section 9.5)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from devpocket.times import time_text
from environments.lifecycle import BECOMING_READY, COMPAT_STATUS, Phase
from environments.log_buffer import Entry
from environments.log_files import left_out
from environments.log_follower import machine_of
from environments.log_lines import Line
from environments.models import Environment
from terminals import frames

SETTING_UP = frozenset({Phase.CREATING, Phase.PROVISIONING, Phase.INSTALLING, Phase.CONFIGURING})


def welcome(environment: Environment) -> str:
    """First frame, once."""
    phase = Phase(environment.phase)
    return frames.encode(
        {
            "type": "welcome",
            "message": f"Logs of {environment.name}",
            "environment": {
                "id": str(environment.pk),
                "name": environment.name,
                "template": environment.template_id,
                "status": str(COMPAT_STATUS[phase]),
                "phase": str(phase),
            },
        }
    )


def log(line: Line) -> str:
    return frames.encode(
        {
            "type": "log",
            "timestamp": time_text(line.at),
            "level": str(line.level),
            "message": line.message,
            "source": str(line.source),
        }
    )


def missed(lines: int) -> str:
    """Told in place of lines that came faster than the client took them."""
    return log(left_out(datetime.now(UTC), f"{lines:,} lines, which came faster than this connection takes them"))


def installation_log(environment_id: UUID, entry: Entry, *, progress: int) -> str:
    return frames.encode(
        {
            "type": "installation_log",
            "environment_id": str(environment_id),
            "data": entry.line.message,
            "phase": entry.phase,
            "source": str(entry.line.source),
            "progress": progress,
            "timestamp": time_text(entry.line.at),
        }
    )


def installation_status(environment: Environment, *, progress: int) -> str:
    return frames.encode(
        {
            "type": "installation_status",
            "environment_id": str(environment.pk),
            "status": environment.phase,
            "message": environment.status_message,
            "progress": progress,
            "timestamp": frames.now_text(),
        }
    )


def installation_complete(environment: Environment) -> str:
    return frames.encode(
        {
            "type": "installation_complete",
            "environment_id": str(environment.pk),
            "status": str(Phase.RUNNING),  # what the set-up has led to, whatever the machine does now
            "timestamp": frames.now_text(),
        }
    )


def installation_error(environment: Environment, *, code: str, message: str) -> str:
    return frames.encode(
        {
            "type": "installation_error",
            "environment_id": str(environment.pk),
            "error": message,
            "code": code,
            "timestamp": frames.now_text(),
        }
    )


class Told:
    """What one client has been told of an environment: all is told once, and a machine's progress never falls.

    `progress` is the machine's own account of its set-up, 0 to 100, in all frames but `status_update`.
    """

    def __init__(self, environment: Environment) -> None:
        self._standing = _standing(environment)
        self._machine, self._progress = "", 0
        self._earlier_machines: set[str] = set()
        self._is_complete = False
        self._set_up: tuple[str, str, int] | None = None
        self._error: tuple[str, str] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the end of the set-up was told."""
        return self._is_complete

    def line(self, environment_id: UUID, entry: Entry) -> str:
        """The frame of a line."""
        progress = self._reached(entry.machine, entry.percent)
        if entry.line.is_installation:
            return installation_log(environment_id, entry, progress=progress)
        return log(entry.line)

    def news(self, environment: Environment) -> list[str]:
        """Frames of what has changed; of one that is being prepared its status every time (contract 9.3)."""
        found = []
        progress = self._reached(machine_of(environment), environment.install_percent)
        is_complete = environment.installation_completed and environment.phase not in SETTING_UP
        if is_complete and not self._is_complete:
            found.append(installation_complete(environment))
        set_up = (environment.phase, environment.status_message, progress)
        if not is_complete and set_up != self._set_up:
            found.append(installation_status(environment, progress=progress))
        error = _error(environment)
        if error is not None and error != self._error:
            found.append(installation_error(environment, code=error[0], message=error[1]))
        standing = _standing(environment)
        if is_being_prepared(environment) or standing != self._standing:
            found.append(frames.status_update(environment))
        self._is_complete, self._set_up, self._error, self._standing = is_complete, set_up, error, standing
        return found

    def _reached(self, machine: str, percent: int) -> int:
        """One that replaces another begins anew; what still comes of the other then says nothing of it."""
        if machine and machine != self._machine and machine not in self._earlier_machines:
            self._earlier_machines.add(self._machine)
            self._machine, self._progress = machine, 0
        if machine == self._machine:
            self._progress = max(self._progress, percent)
        return self._progress


def is_being_prepared(environment: Environment) -> bool:
    """Whether its progress is shown: it comes up, or is set up behind its terminals."""
    return Phase(environment.phase) in BECOMING_READY or environment.is_being_set_up


def _standing(environment: Environment) -> tuple[str, bool, str]:
    return environment.phase, environment.installation_completed, environment.install_error


def _error(environment: Environment) -> tuple[str, str] | None:
    """Why the set-up has failed, as code and text."""
    if environment.phase == Phase.ERROR and not environment.installation_completed:
        return environment.error_code, environment.error_message
    if environment.install_error:
        return "installation_failed", environment.install_error
    return None
