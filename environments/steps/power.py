"""Going down, restarting, changing size; and noticing at rest what was changed outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.utils import timezone

from environments.cloud import CloudNotFound
from environments.lifecycle import Desired, Phase
from environments.models import Environment, Snapshot
from environments.records import NOT_SET_UP
from environments.selectors import find_hibernation
from environments.snapshots import pending_snapshot
from environments.ssh import HostKeyMismatch, SSHUnavailable
from environments.steps.installing import FOLLOW_MAX_S, follow_set_up
from environments.steps.snapshots import make, work_on_snapshots
from environments.steps.telling import tell, untold_since
from environments.steps.tools import (
    LATER_S,
    NEXT_VIEW,
    SOON_S,
    ActionFailed,
    NextLook,
    Tools,
    adopt_or_miss,
    ask_to_switch_off,
    find_droplet,
    is_done,
    is_view_fresh,
    missing_or_later,
    nudge_power,
    patience_s,
    seen,
)
from environments.steps.up import start
from environments.steps.volume import grow, holder_of_volume

log = structlog.get_logger(__name__)

Chore = Callable[[Environment, Tools], Awaitable[NextLook]]


async def stop(environment: Environment, tools: Tools) -> NextLook:
    if environment.desired_state == Desired.HIBERNATED:
        return await _hibernate(environment, tools)
    droplet = seen(environment, tools)
    if droplet is None:
        return await missing_or_later(environment, tools)
    if droplet.status == "off":
        await tools.record_phase(environment, Phase.STOPPED)
        return 0.0
    await ask_to_switch_off(environment, tools, droplet)
    return NEXT_VIEW


# --- Hibernation: the disk is copied, then the droplet is destroyed; the volume stays


async def _hibernate(environment: Environment, tools: Tools) -> NextLook:
    """The droplet goes only after the cloud has shown its snapshot."""
    if await tools.read(lambda: find_hibernation(environment)) is not None:
        return await _destroy_droplet(environment, tools)
    droplet = seen(environment, tools)
    if droplet is None:
        return await missing_or_later(environment, tools)
    if droplet.status != "off":
        await ask_to_switch_off(environment, tools, droplet)
        return NEXT_VIEW
    snapshot = await tools.read(lambda: _hibernation_snapshot(environment))
    if snapshot.status == Snapshot.Status.ERROR:
        raise ActionFailed("snapshot")
    return await make(environment, tools, snapshot)


def _hibernation_snapshot(environment: Environment) -> Snapshot:
    """The one that is under way, also from an earlier try; the one that was tried in this phase; or a new one."""
    ours = environment.snapshots.filter(kind=Snapshot.Kind.HIBERNATION)
    tried = ours.filter(created_at__gte=environment.phase_changed_at, deleted_at=None)
    begun = ours.filter(status=Snapshot.Status.PENDING).first() or tried.first()
    name = f"{environment.slug}-hibernation"
    return begun or pending_snapshot(environment, name=name, kind=Snapshot.Kind.HIBERNATION)


async def _destroy_droplet(environment: Environment, tools: Tools) -> NextLook:
    droplet_id = environment.droplet_id
    if droplet_id is not None and await find_droplet(tools, droplet_id) is not None:
        await tools.cloud(lambda cloud: cloud.droplet_delete(droplet_id))  # by its id: somebody may have taken its tags
        return SOON_S
    try:
        if await holder_of_volume(environment, tools) is not None:
            return LATER_S  # comes free some seconds after its droplet is gone (FACTS, Droplets)
    except CloudNotFound:
        await tools.record_error(environment, "volume_missing", "The volume has disappeared at the cloud.")
        return None
    message = "The machine is put away; its volume and a copy of its disk are kept"
    await tools.record_phase(
        environment, Phase.STOPPED, message, droplet_id=None, droplet_ip=None, droplet_requested_at=None
    )
    return 0.0


# --- Restart, and restore


async def restart(environment: Environment, tools: Tools) -> NextLook:
    if environment.droplet_id is None:
        return await start(environment, tools)
    if environment.restore_from_id is not None:
        return await _restore(environment, tools)
    droplet = seen(environment, tools)
    if droplet is None:
        return await missing_or_later(environment, tools)
    if droplet.status == "off" and environment.action_kind in ("", "power_on"):
        await nudge_power(environment, tools, droplet, "power_on")
        return NEXT_VIEW
    if environment.action_kind == "power_on":
        return await start(environment, tools)
    kind = environment.action_kind or "reboot"
    try:
        if not await is_done(environment, tools, kind):
            return LATER_S
    except ActionFailed:
        if kind == "power_cycle":
            raise
        await is_done(environment, tools, "power_cycle")  # a guest that doesn't heed a reboot
        return LATER_S
    return await _see_it_up(environment, tools)


async def _see_it_up(environment: Environment, tools: Tools, **facts: Any) -> NextLook:
    """The action is completed: from now on only a newer listing counts."""
    facts |= {"action_kind": "power_on", "action_id": None, "action_failures": 0}
    await tools.record_facts(environment, action_requested_at=timezone.now(), **facts)
    return NEXT_VIEW


async def _restore(environment: Environment, tools: Tools) -> NextLook:
    """Rebuild the droplet from the snapshot: its id, address and volume stay."""
    snapshot_id = await tools.read(
        lambda: (
            Snapshot.objects.filter(pk=environment.restore_from_id).values_list("cloud_snapshot_id", flat=True).get()
        )
    )
    if environment.action_kind == "power_on":
        return await start(environment, tools)
    if not await is_done(environment, tools, "rebuild", image=int(snapshot_id or 0)):
        return LATER_S
    # An older disk: how far it was set up, and what it was told, is known only by asking it and telling it anew.
    now = timezone.now()
    return await _see_it_up(environment, tools, **NOT_SET_UP, keys_changed_at=now, variables_changed_at=now)


# --- Resize


async def resize(environment: Environment, tools: Tools) -> NextLook:
    """Power off, resize, and power on only if it ran before."""
    target = environment.resize_to or {}
    returns_to = Phase(environment.return_phase or Phase.STOPPED)
    if environment.droplet_id is None:  # hibernated: the next droplet has the size
        return await _resized(environment, tools)
    droplet = seen(environment, tools)
    if droplet is None:
        return await missing_or_later(environment, tools)
    if droplet.size != target.get("size"):
        if droplet.status != "off":
            await ask_to_switch_off(environment, tools, droplet)
            return NEXT_VIEW
        is_complete = await is_done(environment, tools, "resize", size=target["size"], disk=bool(target["disk"]))
        return NEXT_VIEW if is_complete else LATER_S
    if returns_to == Phase.STOPPED and droplet.status == "off":
        return await _resized(environment, tools)
    return await start(environment, tools)  # which notes the size


async def _resized(environment: Environment, tools: Tools) -> NextLook:
    facts = {name: value for name, value in (environment.resize_to or {}).items() if name != "disk"}
    await tools.record_phase(environment, Phase.STOPPED, **facts)
    return 0.0


# --- At rest


async def check_running(environment: Environment, tools: Tools) -> NextLook:
    if (next_look := await _face_change(environment, tools, expected="active")) is not None:
        return next_look
    return await _do(environment, tools, talk, work_on_snapshots, grow)


async def check_stopped(environment: Environment, tools: Tools) -> NextLook:
    if (next_look := await _face_change(environment, tools, expected="off")) is not None:
        return next_look
    return await _do(environment, tools, work_on_snapshots, grow)


async def _do(environment: Environment, tools: Tools, *chores: Chore) -> NextLook:
    """A bit of each, so that none holds up the others; None: there is nothing to do."""
    return _first([await chore(environment, tools) for chore in chores])


def _first(looks: list[NextLook]) -> NextLook:
    return min((look for look in looks if look is not None), default=None)


async def talk(environment: Environment, tools: Tools) -> NextLook:
    """What the machine is to be told and asked. One that doesn't answer is asked for nothing more in this step, which
    has other things to do as well."""
    try:
        looks = [await chore(environment, tools) for chore in (tell, follow_set_up)]
    except (SSHUnavailable, HostKeyMismatch) as error:
        log.info("machine_silent", environment=str(environment.pk), error=str(error))
        looks = [FOLLOW_MAX_S if environment.is_being_set_up else None]
        if (since := untold_since(environment)) is not None:
            looks.append(patience_s(max(since, environment.phase_changed_at)))
    return _first(looks)


async def check_error(environment: Environment, tools: Tools) -> NextLook:
    """What its owner asked for beside the machine's life still comes to an end."""
    return await work_on_snapshots(environment, tools)


async def _face_change(environment: Environment, tools: Tools, *, expected: str) -> NextLook:
    """Follow what was changed outside; None: nothing was. A listing that differs from the row is believed only when
    the droplet itself says the same."""
    if environment.droplet_id is None or not is_view_fresh(environment, tools):
        return None
    listed = seen(environment, tools)
    if listed is not None and listed.status == expected:
        return None
    droplet = await find_droplet(tools, environment.droplet_id)
    if droplet is None:
        return await adopt_or_miss(environment, tools) or 0.0
    if droplet.status == "off" and environment.phase == Phase.RUNNING:
        message = "The machine was powered off outside DevPocket."
        await tools.record_phase(
            environment, Phase.STOPPED, message, desired_state=Desired.STOPPED, last_stop_reason="outside"
        )
    elif droplet.status == "active" and environment.phase == Phase.STOPPED:
        message = "The machine was powered on outside DevPocket."
        await tools.record_phase(environment, Phase.STARTING, message, desired_state=Desired.RUNNING)
    else:
        return None
    return 0.0
