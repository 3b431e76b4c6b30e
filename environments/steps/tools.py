"""What the steps have in common: their tools, the listing of all droplets, and asking the cloud for an action."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from django.utils import timezone

from environments.cloud import CloudClient, CloudNotFound, CloudRejected, CloudThrottled, Droplet
from environments.lifecycle import Phase
from environments.models import Environment, Snapshot
from environments.ssh import HostKeyMismatch, Result

T = TypeVar("T")
log = structlog.get_logger(__name__)

SHARED_TAG = "devpocket"  # on everything that is ours, for listing, for the firewall and for the reaper

# How long a create without an answer may take to show up before it is asked for again: a request may leave at the end
# of its step (25 s), take 11 s, and be listed late.
ADOPT_WINDOW_S = 60
SHUTDOWN_LIMIT_S = 30  # what a guest gets to shut down in before it is powered off
ACTION_REPEAT_S = 20  # an action that had no effect by then is asked for once more
ACTION_TRIES = 3  # of an action that the cloud begins and doesn't complete
SOON_S, LATER_S = 0.5, 2.0
PATIENCE_MAX_S = 300.0
NEXT_VIEW = -1.0  # a step's answer: look again when there is a new listing

NextLook = float | None  # seconds from now, or NEXT_VIEW; None: not until somebody wants something


@dataclass(frozen=True, slots=True)
class CloudView:
    """All our droplets as one listing gave them. `taken_at`: when it was begun. `pages`: what it cost, in calls.
    `back_at`: `taken_at` of the last listing that came after the cloud had been away.
    """

    taken_at: datetime
    by_tag: dict[str, list[Droplet]]
    pages: int = 1
    back_at: datetime | None = None


class Tools(Protocol):
    """What a step works with; the provisioner implements it. `record_*` raise LeaseLost."""

    @property
    def view(self) -> CloudView | None: ...

    async def cloud(self, work: Callable[[CloudClient], T]) -> T: ...
    async def read(self, work: Callable[[], T]) -> T: ...
    async def ssh(
        self, environment: Environment, command: str, *, timeout_s: float, stdin: bytes | None = None
    ) -> Result: ...
    async def record_facts(self, environment: Environment, **facts: Any) -> None: ...
    async def record_progress(
        self, environment: Environment, progress: int, message: str, *, event: str = "", **facts: Any
    ) -> None: ...
    async def record_phase(self, environment: Environment, phase: Phase, message: str = "", **facts: Any) -> None: ...
    async def record_error(self, environment: Environment, code: str, message: str) -> None: ...
    async def record_event(self, environment: Environment, kind: str, message: str) -> None: ...
    async def record_snapshot(self, environment: Environment, snapshot: Snapshot, **facts: Any) -> None: ...
    async def forget_snapshot(self, environment: Environment, snapshot: Snapshot) -> None: ...


class GivenUp(Exception):
    """The phase can't be gone on with: the row ends in `error` with this code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class ActionFailed(GivenUp):
    """The cloud began an action several times and completed it never. `kind`: of the action."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"{kind}_failed", f"The cloud began this several times and never completed it: {kind}.")


# --- The droplet as the listing has it


def seen(environment: Environment, tools: Tools) -> Droplet | None:
    """The environment's droplet in a listing taken after the row last changed; None: not in it, or not taken yet."""
    if not is_view_fresh(environment, tools):
        return None
    assert tools.view is not None  # noqa: S101 -- for the type checker; is_view_fresh looked
    found = tools.view.by_tag.get(environment.tag, [])
    return next((droplet for droplet in found if droplet.id == environment.droplet_id), None)


def is_view_fresh(environment: Environment, tools: Tools) -> bool:
    if tools.view is None:
        return False
    asked_at = (environment.phase_changed_at, environment.action_requested_at, environment.droplet_requested_at)
    return tools.view.taken_at > max(at for at in asked_at if at is not None)


async def missing_or_later(environment: Environment, tools: Tools) -> NextLook:
    """A droplet that a fresh listing lacks is looked up by its id before it is called lost: listings may lag."""
    if environment.droplet_id is not None:
        if not is_view_fresh(environment, tools):
            return NEXT_VIEW
        if await find_droplet(tools, environment.droplet_id) is not None:
            return LATER_S
    elif not is_view_fresh(environment, tools):
        return NEXT_VIEW
    return await adopt_or_miss(environment, tools)


async def adopt_or_miss(environment: Environment, tools: Tools) -> NextLook:
    """The row's droplet is gone. Another one with its tag is taken for its own: a database that was put back to an
    older state doesn't know the one that took its place (docs/operations.md). With none it is an error."""
    listed = tools.view.by_tag.get(environment.tag, []) if tools.view else []
    others = [droplet for droplet in listed if droplet.id != environment.droplet_id]
    if not others:
        await tools.record_error(environment, "droplet_missing", "The machine has disappeared at the cloud.")
        return None
    droplet = max(others, key=lambda droplet: droplet.id)
    log.warning("droplet_adopted", environment=str(environment.pk), droplet=droplet.id)
    facts = {"droplet_id": droplet.id, "droplet_ip": droplet.ip, "droplet_requested_at": timezone.now()}
    await tools.record_facts(environment, **facts)
    await tools.record_event(environment, "machine_adopted", "Another machine of this environment was found")
    return 0.0


async def find_droplet(tools: Tools, droplet_id: int) -> Droplet | None:
    """By its id, which is never late."""
    try:
        return await tools.cloud(lambda cloud: cloud.droplet_get(droplet_id))
    except CloudNotFound:
        return None


# --- Actions


async def nudge_power(environment: Environment, tools: Tools, droplet: Droplet, kind: str, **arguments: Any) -> None:
    """Ask for an action whose effect the listing shows, unless it was asked for a short while ago."""
    asked_at = environment.action_requested_at
    if environment.action_kind == kind and asked_at is not None and age_s(asked_at) < ACTION_REPEAT_S:
        return
    await _ask(environment, tools, droplet.id, kind, arguments)


async def is_done(environment: Environment, tools: Tools, kind: str, **arguments: Any) -> bool:
    """Have the cloud do an action of the droplet once, whatever answers get lost; True when it is completed.

    Raises: ActionFailed, when it has errored ACTION_TRIES times.
    """
    droplet_id = environment.droplet_id
    if droplet_id is None:
        raise ActionFailed(kind)
    if environment.action_kind != kind or environment.action_requested_at is None:
        await _ask(environment, tools, droplet_id, kind, arguments)
        return False
    if environment.action_id is None and not await _adopt_action(environment, tools, droplet_id, kind):
        if age_s(environment.action_requested_at) > ACTION_REPEAT_S:
            await _ask(environment, tools, droplet_id, kind, arguments)
        return False
    action_id = environment.action_id
    assert action_id is not None  # noqa: S101 -- for the type checker
    action = await tools.cloud(lambda cloud: cloud.action_get(action_id))
    if action.status == "errored":
        failures = environment.action_failures + 1
        await tools.record_facts(environment, action_failures=failures, action_id=None, action_requested_at=None)
        if failures >= ACTION_TRIES:
            raise ActionFailed(kind)
    return action.status == "completed"


async def _ask(environment: Environment, tools: Tools, droplet_id: int, kind: str, arguments: dict[str, Any]) -> None:
    failures = environment.action_failures if environment.action_kind == kind else 0
    await tools.record_facts(
        environment, action_kind=kind, action_requested_at=timezone.now(), action_id=None, action_failures=failures
    )
    try:
        action = await tools.cloud(lambda cloud: cloud.droplet_action(droplet_id, kind, **arguments))
    except CloudThrottled:
        await tools.record_facts(environment, action_requested_at=None)  # it wasn't begun
        raise
    except CloudRejected as error:
        if not error.is_pending_event:
            raise
        await tools.record_facts(environment, action_requested_at=None)  # another action runs: later
    else:
        await tools.record_facts(environment, action_id=action.id, last_action_id=action.id)


async def _adopt_action(environment: Environment, tools: Tools, droplet_id: int, kind: str) -> bool:
    """Find the action whose answer was lost: of this kind, and later than all that we know of."""
    found = await newest_action(environment, tools, droplet_id, kind)
    if found is not None:
        await tools.record_facts(environment, action_id=found, last_action_id=found)
    return found is not None


async def newest_action(environment: Environment, tools: Tools, droplet_id: int, kind: str) -> int | None:
    actions = await tools.cloud(lambda cloud: cloud.droplet_actions(droplet_id))
    ours = (action.id for action in actions if action.kind == kind and action.id > environment.last_action_id)
    return next(ours, None)


async def ask_to_switch_off(environment: Environment, tools: Tools, droplet: Droplet) -> None:
    """A guest is asked first, and not any more after SHUTDOWN_LIMIT_S (design.md section 3: stopped is honest)."""
    is_late = age_s(environment.phase_changed_at) > SHUTDOWN_LIMIT_S
    await nudge_power(environment, tools, droplet, "power_off" if is_late else "shutdown")


async def note_size(environment: Environment, tools: Tools, droplet: Droplet) -> None:
    """The row has the size of its droplet: of a resize that was completed, in its time or after it was given up; and
    the disk, which is the whole of the size's when a droplet is made anew."""
    target = environment.resize_to or {}
    facts: dict[str, Any] = {}
    if droplet.size == target.get("size") and droplet.size != environment.size:
        facts = {name: value for name, value in target.items() if name != "disk"}
    if droplet.disk_gb != environment.disk_gb:
        facts["disk_gb"] = droplet.disk_gb
    if facts:
        await tools.record_facts(environment, **facts)


# --- Ends that several steps come to


async def wrong_host_key(environment: Environment, tools: Tools, error: HostKeyMismatch) -> NextLook:
    log.error("host_key_mismatch", environment=str(environment.pk), error=str(error))
    await tools.record_error(environment, "host_key_mismatch", "The machine doesn't show the host key it was given.")
    return None


# --- Talking to the machine


def in_sh(script: str) -> str:
    """The command that runs a script of ours, whatever shell the user has chosen."""
    return f"exec sh -c {shlex.quote(script)}"


def last_line(result: Result) -> str:
    """What a script has answered: what the user's shell prints when it starts comes before it."""
    return result.stdout.rstrip().rpartition("\n")[2]


def patience_s(since: datetime) -> float:
    """When to try again what hasn't worked since then: rarely, once it has been so for long."""
    return min(PATIENCE_MAX_S, max(LATER_S, age_s(since) / 5))


def age_s(since: datetime) -> float:
    return (timezone.now() - since).total_seconds()
