"""The end: the machine, its snapshots, and last of all the volume, until the cloud confirms that they are gone."""

from __future__ import annotations

import structlog
from django.utils import timezone

from environments.cloud import CloudNotFound, Volume
from environments.models import Environment, Snapshot
from environments.steps import tools as shared
from environments.steps.tools import LATER_S, NEXT_VIEW, NextLook, Tools, age_s, find_droplet

log = structlog.get_logger(__name__)


async def tear_down(environment: Environment, tools: Tools) -> NextLook:
    for part in (_droplets, _snapshots, _volume):
        if (next_look := await part(environment, tools)) is not None:
            return next_look
    await tools.record_facts(
        environment, torn_down_at=timezone.now(), droplet_id=None, droplet_ip=None, volume_id=None, snapshots_gb=0.0
    )
    log.info("environment_gone", environment=str(environment.pk))
    return None


async def _droplets(environment: Environment, tools: Tools) -> NextLook:
    """None: there are none, and none can show up any more."""
    if environment.droplet_requested_at is None:
        return None
    tag, droplet_id = environment.tag, environment.droplet_id
    if environment.action_kind != "destroy":
        if droplet_id is not None:  # by its id as well: what is listed by its tag may be late
            await tools.cloud(lambda cloud: cloud.droplet_delete(droplet_id))
        await tools.cloud(lambda cloud: cloud.droplets_delete_by_tag(tag))
        await tools.record_facts(environment, action_kind="destroy", action_requested_at=timezone.now())
        return NEXT_VIEW
    if tools.view is None or tools.view.taken_at <= (environment.action_requested_at or timezone.now()):
        return NEXT_VIEW
    if tools.view.by_tag.get(tag) or (droplet_id is not None and await find_droplet(tools, droplet_id) is not None):
        await tools.record_facts(environment, action_kind="")  # ask again
        return LATER_S
    is_unanswered = environment.droplet_id is None and age_s(environment.droplet_requested_at) < shared.ADOPT_WINDOW_S
    if is_unanswered:  # a create whose answer was lost may still show up
        await tools.record_facts(environment, action_kind="")
        return LATER_S
    return None


async def _snapshots(environment: Environment, tools: Tools) -> NextLook:
    """None: there are none. Those of this environment are known by their names."""
    rows = await tools.read(lambda: list(environment.snapshots.exclude(requested_at=None)))
    if not rows:
        return None
    if any([await _is_being_made(snapshot, tools) for snapshot in rows]):
        return LATER_S
    everything = await tools.cloud(lambda cloud: cloud.snapshots())
    ours = [one for one in everything if one.name.startswith(f"{environment.tag}-")]
    for one in ours:
        await tools.cloud(lambda cloud, snapshot_id=one.id: cloud.snapshot_delete(snapshot_id))  # type: ignore[misc]
    if ours:
        return LATER_S  # look once more before calling them gone
    for snapshot in rows:
        await tools.forget_snapshot(environment, snapshot)
    return None


async def _is_being_made(snapshot: Snapshot, tools: Tools) -> bool:
    """One that the cloud still works on would show up after we have looked."""
    if snapshot.status != Snapshot.Status.PENDING or snapshot.requested_at is None:
        return False
    if snapshot.deadline_at is not None and timezone.now() > snapshot.deadline_at:
        return False
    action_id = snapshot.action_id
    if action_id is None:
        return age_s(snapshot.requested_at) < shared.ADOPT_WINDOW_S
    try:
        action = await tools.cloud(lambda cloud: cloud.action_get(action_id))
    except CloudNotFound:
        return False
    return action.status == "in-progress"


async def _volume(environment: Environment, tools: Tools) -> NextLook:
    """None: it is gone."""
    if environment.volume_requested_at is None:
        return None
    name, region = environment.tag, environment.region
    volume = await tools.cloud(lambda cloud: cloud.volume_find(name=name, region=region))
    if volume is None and environment.volume_id is not None:
        volume = await _by_id(environment.volume_id, tools)  # listings may be late
    if volume is not None:
        if volume.droplet_ids:
            if environment.droplet_requested_at is None:  # of a database that was put back: it was hibernated then
                holder = await find_droplet(tools, volume.droplet_ids[0])
                if holder is not None and environment.tag in holder.tags:  # else somebody attached it by hand
                    await tools.record_facts(environment, droplet_requested_at=timezone.now(), droplet_id=holder.id)
            return LATER_S  # comes free some seconds after its droplet is gone (FACTS, Droplets)
        await tools.cloud(lambda cloud: cloud.volume_delete(volume.id))
        return LATER_S  # look once more before calling it gone
    is_unanswered = environment.volume_id is None and age_s(environment.volume_requested_at) < shared.ADOPT_WINDOW_S
    return LATER_S if is_unanswered else None


async def _by_id(volume_id: str, tools: Tools) -> Volume | None:
    try:
        return await tools.cloud(lambda cloud: cloud.volume_get(volume_id))
    except CloudNotFound:
        return None
