"""One step of an environment from what is to what is wanted: look at the cloud, do one thing, say when to look again.

Each step may be repeated, and may die at any line: what it is about to ask of the cloud is in the row before it asks,
and what exists is found by the tag that the row gives (`Environment.tag`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from django.utils import timezone

from environments.cloud import CloudClient, CloudNotFound, CloudRejected, Droplet, Volume
from environments.cloud_init import PROGRESS_FILE, UserDataTooLarge, parse_progress, user_data
from environments.lifecycle import Desired, Phase, installing_progress
from environments.models import Environment
from environments.selectors import machine_spec
from environments.ssh import HostKeyMismatch, Result, SSHUnavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

SHARED_TAG = "devpocket"  # on everything that is ours, for listing and for the reaper

ADOPT_WINDOW_S = 30  # how long a create without an answer may take to show up in listings before it is asked for again
SHUTDOWN_LIMIT_S = 30  # what a guest gets to shut down in before it is powered off
ACTION_REPEAT_S = 20  # an action that had no effect by then is asked for once more
DRIFT_CHECK_S = 60.0  # how soon a change made outside is noticed (contract 6.3)
SOON_S, LATER_S = 0.5, 2.0
READ_PROGRESS = f'cat "${{DEVPOCKET_ROOT:-}}{PROGRESS_FILE}" 2>/dev/null; true'
CHECK_LOGIN = "command -v tmux >/dev/null && echo ready"
SSH_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class CloudView:
    """All our droplets as one listing gave them. `taken_at`: when it was begun."""

    taken_at: datetime
    by_tag: dict[str, list[Droplet]]


class Tools(Protocol):
    """What a step works with; the provisioner implements it. `record_*` raise LeaseLost."""

    view: CloudView | None

    async def cloud(self, work: Callable[[CloudClient], T]) -> T: ...
    async def read(self, work: Callable[[], T]) -> T: ...
    async def ssh(self, environment: Environment, command: str, *, timeout_s: float) -> Result: ...
    async def record_facts(self, environment: Environment, **facts: Any) -> None: ...
    async def record_progress(self, environment: Environment, progress: int, message: str) -> None: ...
    async def record_phase(self, environment: Environment, phase: Phase, message: str = "", **facts: Any) -> None: ...
    async def record_error(self, environment: Environment, code: str, message: str) -> None: ...


NextLook = float | None  # seconds from now; None: not until somebody wants something


async def step(environment: Environment, tools: Tools) -> NextLook:
    """Bring the environment one step on. Raises: CloudError, LeaseLost; then the row is as it was, or further."""
    if environment.desired_state == Desired.DELETED:
        return await _tear_down(environment, tools)
    phase = Phase(environment.phase)
    if environment.deadline_at is not None and timezone.now() > environment.deadline_at:
        await tools.record_error(environment, f"{phase}_timeout", f"This took too long and was given up: {phase}.")
        return None
    handler = HANDLERS.get(phase)
    return await handler(environment, tools) if handler else None


# --- Coming up


async def _create(environment: Environment, tools: Tools) -> NextLook:
    await _ensure_volume(environment, tools)
    await tools.record_phase(environment, Phase.PROVISIONING)
    return 0.0


async def _provision(environment: Environment, tools: Tools) -> NextLook:
    await _ensure_volume(environment, tools)
    if environment.droplet_id is None and not await _ensure_droplet(environment, tools):
        return LATER_S
    droplet = _seen(environment, tools)
    if droplet is None or droplet.status != "active" or droplet.ip is None:
        return SOON_S
    await tools.record_phase(environment, Phase.INSTALLING, droplet_ip=droplet.ip)
    return 0.0


async def _ensure_volume(environment: Environment, tools: Tools) -> None:
    """The user's data: made before the droplet, found by its name (unique in a region) when an answer was lost."""
    if environment.volume_id is not None:
        return
    name, region = environment.tag, environment.region
    volume: Volume | None = None
    if environment.volume_requested_at is not None:
        volume = await tools.cloud(lambda cloud: cloud.volume_find(name=name, region=region))
    if volume is None:
        await tools.record_facts(environment, volume_requested_at=timezone.now())
        tags = [SHARED_TAG, name]
        size_gb = environment.storage_size_gb
        try:
            volume = await tools.cloud(
                lambda cloud: cloud.volume_create(name=name, region=region, size_gb=size_gb, tags=tags)
            )
        except CloudRejected:  # the name may be taken by the volume of a lost answer that wasn't listed yet
            volume = await tools.cloud(lambda cloud: cloud.volume_find(name=name, region=region))
            if volume is None:
                raise
    await tools.record_facts(environment, volume_id=volume.id)


async def _ensure_droplet(environment: Environment, tools: Tools) -> bool:
    """Find the environment's droplet or create it; False: it was asked for, and the listing may not show it yet."""
    tag = environment.tag
    if environment.droplet_requested_at is not None:
        found = await tools.cloud(lambda cloud: cloud.droplets_by_tag(tag))
        if found:
            keep = min(found, key=lambda droplet: droplet.id)
            for extra in (droplet for droplet in found if droplet.id != keep.id):
                log.error("doubled_droplet_deleted", environment=str(environment.pk), droplet=extra.id)
                await tools.cloud(lambda cloud, extra_id=extra.id: cloud.droplet_delete(extra_id))  # type: ignore[misc]
            await tools.record_facts(environment, droplet_id=keep.id)
            return True
        if _age_s(environment.droplet_requested_at) < ADOPT_WINDOW_S:
            return False
    try:
        text = await tools.read(lambda: user_data(machine_spec(environment)))
    except UserDataTooLarge as error:
        raise CloudRejected(str(error)) from error
    await tools.record_facts(environment, droplet_requested_at=timezone.now())
    droplet = await tools.cloud(
        lambda cloud: cloud.droplet_create(
            name=environment.slug,
            region=environment.region,
            size=environment.size,
            image=environment.image,
            user_data=text,
            tags=[SHARED_TAG, tag],
            volumes=[environment.volume_id] if environment.volume_id else [],
        )
    )
    await tools.record_facts(environment, droplet_id=droplet.id)
    return True


async def _install(environment: Environment, tools: Tools) -> NextLook:
    try:
        told = await tools.ssh(environment, READ_PROGRESS, timeout_s=SSH_TIMEOUT_S)
    except SSHUnavailable:
        return SOON_S if _age_s(environment.phase_changed_at) < 30 else LATER_S  # still booting
    except HostKeyMismatch as error:
        return await _wrong_host_key(environment, tools, error)
    progress = parse_progress(told.stdout)
    if progress.failed:
        await tools.record_error(environment, "installing_failed", f"The set-up failed: {progress.message}")
        return None
    if progress.is_complete:
        await tools.record_phase(environment, Phase.CONFIGURING)
        return 0.0
    await tools.record_progress(environment, installing_progress(progress.percent), progress.message)
    return SOON_S if _age_s(environment.phase_changed_at) < 30 else LATER_S


async def _configure(environment: Environment, tools: Tools) -> NextLook:
    return await _run_when_login_works(environment, tools)


async def _start(environment: Environment, tools: Tools) -> NextLook:
    droplet = _seen(environment, tools)
    if droplet is None:
        return await _missing_or_later(environment, tools)
    if droplet.status != "active":
        await _act(environment, tools, droplet, "power_on")
        return SOON_S
    if droplet.ip is not None and droplet.ip != environment.droplet_ip:
        await tools.record_facts(environment, droplet_ip=droplet.ip)
    return await _run_when_login_works(environment, tools)


async def _run_when_login_works(environment: Environment, tools: Tools) -> NextLook:
    try:
        result = await tools.ssh(environment, CHECK_LOGIN, timeout_s=SSH_TIMEOUT_S)
    except SSHUnavailable:
        return SOON_S
    except HostKeyMismatch as error:
        return await _wrong_host_key(environment, tools, error)
    if result.stdout.strip() != "ready":
        return LATER_S  # the deadline ends it where it stays so
    await tools.record_phase(environment, Phase.RUNNING, installation_completed=True)
    return DRIFT_CHECK_S


async def _wrong_host_key(environment: Environment, tools: Tools, error: HostKeyMismatch) -> NextLook:
    log.error("host_key_mismatch", environment=str(environment.pk), error=str(error))
    await tools.record_error(environment, "host_key_mismatch", "The machine doesn't show the host key it was given.")
    return None


# --- Going down


async def _stop(environment: Environment, tools: Tools) -> NextLook:
    droplet = _seen(environment, tools)
    if droplet is None:
        return await _missing_or_later(environment, tools)
    if droplet.status == "off":
        await tools.record_phase(environment, Phase.STOPPED)
        return DRIFT_CHECK_S
    is_late = _age_s(environment.phase_changed_at) > SHUTDOWN_LIMIT_S
    await _act(environment, tools, droplet, "power_off" if is_late else "shutdown")
    return SOON_S


async def _act(environment: Environment, tools: Tools, droplet: Droplet, kind: str) -> None:
    """Ask for a power action, unless one was asked for a short while ago."""
    asked_at = environment.action_requested_at
    if asked_at is not None and _age_s(asked_at) < ACTION_REPEAT_S:
        return
    await tools.record_facts(environment, action_requested_at=timezone.now())
    try:
        await tools.cloud(lambda cloud: cloud.droplet_action(droplet.id, kind))
    except CloudRejected as error:
        if not error.is_pending_event:
            raise
        await tools.record_facts(environment, action_requested_at=None)  # another action runs: later


async def _tear_down(environment: Environment, tools: Tools) -> NextLook:
    """Droplets first, the volume last; done only when the cloud confirms that both are gone."""
    tag, region = environment.tag, environment.region
    if environment.droplet_requested_at is not None:
        await tools.cloud(lambda cloud: cloud.droplets_delete_by_tag(tag))
        if await tools.cloud(lambda cloud: cloud.droplets_by_tag(tag)):
            return LATER_S
        unanswered = environment.droplet_id is None and _age_s(environment.droplet_requested_at) < ADOPT_WINDOW_S
        if unanswered:
            return LATER_S  # a create whose answer was lost may still show up
    if environment.volume_requested_at is not None:
        volume = await tools.cloud(lambda cloud: cloud.volume_find(name=tag, region=region))
        if volume is not None:
            if volume.droplet_ids:
                return LATER_S  # comes free some seconds after its droplet is gone (FACTS, Droplets)
            await tools.cloud(lambda cloud: cloud.volume_delete(volume.id))
            return LATER_S  # look once more before calling it gone
        if environment.volume_id is None and _age_s(environment.volume_requested_at) < ADOPT_WINDOW_S:
            return LATER_S
    await tools.record_facts(environment, torn_down_at=timezone.now())
    log.info("environment_gone", environment=str(environment.pk))
    return None


# --- At rest: has anything been changed outside?


async def _check_running(environment: Environment, tools: Tools) -> NextLook:
    droplet = _seen(environment, tools)
    if droplet is None:
        return await _missing_or_later(environment, tools)
    if droplet.status == "off":
        message = "The machine was powered off outside DevPocket."
        await tools.record_phase(environment, Phase.STOPPED, message, desired_state=Desired.STOPPED)
    return DRIFT_CHECK_S


async def _check_stopped(environment: Environment, tools: Tools) -> NextLook:
    droplet = _seen(environment, tools)
    if droplet is None:
        return await _missing_or_later(environment, tools)
    if droplet.status == "active":
        message = "The machine was powered on outside DevPocket."
        await tools.record_phase(environment, Phase.STARTING, message, desired_state=Desired.RUNNING)
        return 0.0
    return DRIFT_CHECK_S


def _seen(environment: Environment, tools: Tools) -> Droplet | None:
    """The environment's droplet in a listing taken after the row last changed; None: not in it, or not taken yet."""
    if not _is_view_fresh(environment, tools):
        return None
    assert tools.view is not None  # noqa: S101 -- for the type checker; _is_view_fresh looked
    found = tools.view.by_tag.get(environment.tag, [])
    return next((droplet for droplet in found if droplet.id == environment.droplet_id), None)


def _is_view_fresh(environment: Environment, tools: Tools) -> bool:
    if tools.view is None:
        return False
    changed_at = max(environment.phase_changed_at, environment.action_requested_at or environment.phase_changed_at)
    return tools.view.taken_at > changed_at


async def _missing_or_later(environment: Environment, tools: Tools) -> NextLook:
    """A droplet that a fresh listing lacks is looked up by its id before it is called lost: listings may lag."""
    if not _is_view_fresh(environment, tools):
        return SOON_S
    droplet_id = environment.droplet_id
    if droplet_id is not None and await _exists(tools, droplet_id):
        return LATER_S
    await tools.record_error(environment, "droplet_missing", "The machine has disappeared at the cloud.")
    return None


async def _exists(tools: Tools, droplet_id: int) -> bool:
    try:
        await tools.cloud(lambda cloud: cloud.droplet_get(droplet_id))
    except CloudNotFound:
        return False
    return True


def _age_s(since: datetime) -> float:
    return (timezone.now() - since).total_seconds()


HANDLERS: dict[Phase, Callable[[Environment, Tools], Awaitable[NextLook]]] = {
    Phase.CREATING: _create,
    Phase.PROVISIONING: _provision,
    Phase.INSTALLING: _install,
    Phase.CONFIGURING: _configure,
    Phase.STARTING: _start,
    Phase.STOPPING: _stop,
    Phase.RUNNING: _check_running,
    Phase.STOPPED: _check_stopped,
}
NEEDS_VIEW = frozenset({Phase.PROVISIONING, Phase.STARTING, Phase.STOPPING, Phase.RUNNING, Phase.STOPPED})
