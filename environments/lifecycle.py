"""The life of an environment as tables: phases, what a client is shown, what may follow what, and by when.

Pure: standard library only. Source: contract section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What is."""

    CREATING = "creating"
    PROVISIONING = "provisioning"
    INSTALLING = "installing"
    CONFIGURING = "configuring"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    RESTARTING = "restarting"
    RESIZING = "resizing"
    ERROR = "error"
    TERMINATED = "terminated"


class Desired(StrEnum):
    """What is wanted."""

    RUNNING = "running"
    STOPPED = "stopped"
    HIBERNATED = "hibernated"
    DELETED = "deleted"


class TerminalWhen(StrEnum):
    """When a new machine lets its owner in (of its template): once their account is set up, or once all is."""

    SSH = "ssh"
    COMPLETE = "complete"


class Status(StrEnum):
    """What phones decode: an unknown word here makes them drop the whole list (contract T2)."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"
    TERMINATED = "terminated"


COMPAT_STATUS: dict[Phase, Status] = {
    Phase.CREATING: Status.CREATING,
    Phase.PROVISIONING: Status.CREATING,
    Phase.INSTALLING: Status.CREATING,
    Phase.CONFIGURING: Status.CREATING,
    Phase.STARTING: Status.CREATING,
    Phase.RESTARTING: Status.CREATING,
    Phase.RESIZING: Status.CREATING,
    Phase.RUNNING: Status.RUNNING,
    Phase.STOPPING: Status.STOPPED,
    Phase.STOPPED: Status.STOPPED,
    Phase.ERROR: Status.ERROR,
    Phase.TERMINATED: Status.TERMINATED,
}

# On the way to a usable machine: a terminal may wait for these (contract 9.4).
BECOMING_READY = frozenset(
    {
        Phase.CREATING,
        Phase.PROVISIONING,
        Phase.INSTALLING,
        Phase.CONFIGURING,
        Phase.STARTING,
        Phase.RESTARTING,
        Phase.RESIZING,
    }
)

FIRST_PROGRESS: dict[Phase, int] = {
    Phase.CREATING: 0,
    Phase.PROVISIONING: 5,
    Phase.INSTALLING: 20,
    Phase.CONFIGURING: 80,
    Phase.RUNNING: 100,
    Phase.STOPPING: 0,
    Phase.STOPPED: 100,
    Phase.STARTING: 0,
    Phase.RESTARTING: 0,
    Phase.RESIZING: 0,
    Phase.TERMINATED: 100,
}  # an error keeps what was reached

INSTALLING_SPAN = (20, 79)

MESSAGES: dict[Phase, str] = {
    Phase.CREATING: "Waiting to be set up",
    Phase.PROVISIONING: "Creating the machine and its volume",
    Phase.INSTALLING: "Setting up the machine",
    Phase.CONFIGURING: "Checking the machine",
    Phase.RUNNING: "Ready",
    Phase.STOPPING: "Shutting down",
    Phase.STOPPED: "Stopped",
    Phase.STARTING: "Starting",
    Phase.RESTARTING: "Restarting",
    Phase.RESIZING: "Changing size",
    Phase.TERMINATED: "Deleted",
}


# What takes longer than its phase usually does: a disk is copied (a minute or two a 10 GB at the real cloud).
HIBERNATE_LIMIT_S = 1800.0
RESUME_LIMIT_S = 900.0
RESTORE_LIMIT_S = 900.0
RECOVER_LIMIT_S = 900.0  # in creating, until a droplet is asked for anew
SNAPSHOT_LIMIT_S = 3600.0
SET_UP_LIMIT_S = 7200.0  # how long the rest of a set-up is followed behind a machine that runs


def asks_full_status(*words: str) -> bool:
    """What clients that know all phases say, in a header or a query, to be given them as `status` (contract 6.2)."""
    return "full" in (word.strip().lower() for word in words)


def deadline_s(phase: Phase, *, install_timeout_minutes: int) -> float | None:
    """Seconds after which a phase is given up (contract 6.3), or None where it may last.

    `configuring` belongs to the time that `installing` was given; creating waits for the cloud as long as it takes.
    """
    return {
        Phase.PROVISIONING: 300.0,
        Phase.INSTALLING: install_timeout_minutes * 60.0,
        Phase.STARTING: 300.0,
        Phase.STOPPING: 300.0,
        Phase.RESTARTING: 300.0,
        Phase.RESIZING: 900.0,
    }.get(phase)


@dataclass(frozen=True, slots=True)
class Action:
    """`allowed`: phases it may begin in; `next`: the phase it leads to; `no_op`: phases in which it has no effect."""

    allowed: frozenset[Phase]
    next: Phase
    wants: Desired
    no_op: frozenset[Phase] = frozenset()


AT_REST = frozenset({Phase.RUNNING, Phase.STOPPED})  # with a machine, and nothing under way

ACTIONS: dict[str, Action] = {
    "start": Action(
        frozenset({Phase.STOPPED}), Phase.STARTING, Desired.RUNNING, frozenset({Phase.RUNNING, Phase.STARTING})
    ),
    "stop": Action(
        frozenset({Phase.RUNNING}), Phase.STOPPING, Desired.STOPPED, frozenset({Phase.STOPPED, Phase.STOPPING})
    ),
    "restart": Action(AT_REST | {Phase.ERROR}, Phase.RESTARTING, Desired.RUNNING, frozenset({Phase.RESTARTING})),
    "recover": Action(frozenset({Phase.ERROR}), Phase.CREATING, Desired.RUNNING),
    # No-op where it is under way or done: services.py looks at `desired_state` for that.
    "hibernate": Action(AT_REST, Phase.STOPPING, Desired.HIBERNATED),
    "delete": Action(frozenset(Phase) - {Phase.TERMINATED}, Phase.TERMINATED, Desired.DELETED),
}


def installing_progress(percent: int, *, until: int = 100) -> int:
    """The environment's progress (20 to 79) for the machine's own set-up progress, which is waited for `until`."""
    low, high = INSTALLING_SPAN
    return low + (high - low) * max(0, min(until, percent)) // until
