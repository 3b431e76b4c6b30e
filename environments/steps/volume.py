"""The volume is the user's data: made first, deleted last, formatted once, grown when more is wanted."""

from __future__ import annotations

import structlog
from django.utils import timezone

from environments.cloud import CloudNotFound, CloudRejected, CloudThrottled, CloudUnreachable, Volume
from environments.cloud_init import HOME
from environments.leases import storage_give_up
from environments.lifecycle import Phase
from environments.models import Environment
from environments.ssh import HostKeyMismatch, SSHUnavailable
from environments.steps.tools import (
    ACTION_REPEAT_S,
    ACTION_TRIES,
    LATER_S,
    SHARED_TAG,
    NextLook,
    Tools,
    age_s,
    in_sh,
    last_line,
)

log = structlog.get_logger(__name__)

GROW_LIMIT_S = 20.0
GROW_KIND = "grow_volume"  # in action_kind, while the row is at rest
# A simulated machine's volume is a directory: there is no file system to grow.
GROW_COMMAND = in_sh(f"""\
[ -n "${{DEVPOCKET_ROOT:-}}" ] && {{ echo grown; exit; }}
device=$(findmnt -n -o SOURCE {HOME}) && sudo -n resize2fs "$device" >/dev/null 2>&1 && echo grown
""")


async def ensure_volume(environment: Environment, tools: Tools) -> None:
    """Made before the droplet, and found by its name (unique in a region) when an answer was lost."""
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
        except CloudThrottled:
            await tools.record_facts(environment, volume_requested_at=None)  # certainly none was made
            raise
        except CloudRejected as error:
            if error.status not in (409, 422):
                raise
            # The name may be taken by the volume of a lost answer that wasn't listed yet.
            volume = await tools.cloud(lambda cloud: cloud.volume_find(name=name, region=region))
            if volume is None and error.status == 409:
                raise CloudUnreachable("the volume is there, but isn't listed yet") from error
            if volume is None:
                raise
    await tools.record_facts(environment, volume_id=volume.id, volume_size_gb=volume.size_gb)


async def holder_of_volume(environment: Environment, tools: Tools) -> int | None:
    """The droplet that the volume is attached to. Raises: CloudNotFound, where the volume is gone."""
    volume_id = environment.volume_id
    if volume_id is None:
        return None
    volume = await tools.cloud(lambda cloud: cloud.volume_get(volume_id))
    return next(iter(volume.droplet_ids), None)


async def grow(environment: Environment, tools: Tools) -> NextLook:
    """Bring the volume, then the file system on it, to the size that is wanted; None: there is nothing to do now."""
    volume_id = environment.volume_id
    if volume_id is None or environment.volume_size_gb == 0:
        return None
    if environment.storage_size_gb > environment.volume_size_gb:
        return await _grow_volume(environment, tools, volume_id)
    if environment.filesystem_size_gb < environment.volume_size_gb and environment.phase == Phase.RUNNING:
        return await _grow_filesystem(environment, tools)
    return None


async def _grow_volume(environment: Environment, tools: Tools, volume_id: str) -> NextLook:
    wanted_gb, region = environment.storage_size_gb, environment.region
    try:
        volume = await tools.cloud(lambda cloud: cloud.volume_get(volume_id))
    except CloudNotFound:
        await tools.record_error(environment, "volume_missing", "The volume has disappeared at the cloud.")
        return None
    if volume.size_gb >= wanted_gb:
        await tools.record_facts(
            environment, volume_size_gb=volume.size_gb, action_kind="", action_requested_at=None, action_failures=0
        )
        await tools.record_event(environment, "volume_grown", f"To {volume.size_gb} GB")
        return 0.0
    is_asked = environment.action_kind == GROW_KIND and environment.action_requested_at is not None
    if is_asked and environment.action_requested_at and age_s(environment.action_requested_at) < ACTION_REPEAT_S:
        return LATER_S
    tries = environment.action_failures + 1 if environment.action_kind == GROW_KIND else 1
    if tries > ACTION_TRIES:
        return await _give_up(environment, tools, volume.size_gb, "the cloud never completed it")
    await tools.record_facts(
        environment, action_kind=GROW_KIND, action_requested_at=timezone.now(), action_failures=tries
    )
    try:
        await tools.cloud(lambda cloud: cloud.volume_resize(volume_id, size_gb=wanted_gb, region=region))
    except CloudRejected as error:
        if error.is_pending_event:
            return LATER_S
        if error.is_about_token:
            raise
        # Observed where a volume is attached (FACTS, Volumes).
        return await _give_up(environment, tools, volume.size_gb, str(error).partition(": ")[2])
    return LATER_S


async def _give_up(environment: Environment, tools: Tools, size_gb: int, why: str) -> NextLook:
    """The volume stays as it is, the row says so again, and its owner is told in the events."""
    log.warning("volume_not_grown", environment=str(environment.pk), why=why)
    wanted_gb = environment.storage_size_gb
    await tools.read(lambda: storage_give_up(environment, wanted_gb=wanted_gb, size_gb=size_gb))
    await tools.record_facts(
        environment,
        volume_size_gb=size_gb,
        action_kind="",
        action_requested_at=None,
        action_failures=0,
    )
    await tools.record_event(environment, "volume_not_grown", f"It stays at {size_gb} GB: {why}")
    return 0.0


async def _grow_filesystem(environment: Environment, tools: Tools) -> NextLook:
    try:
        result = await tools.ssh(environment, GROW_COMMAND, timeout_s=GROW_LIMIT_S)
    except (SSHUnavailable, HostKeyMismatch):
        return LATER_S
    if last_line(result) != "grown":
        log.warning("filesystem_not_grown", environment=str(environment.pk), exit_status=result.exit_status)
        return ACTION_REPEAT_S
    await tools.record_facts(environment, filesystem_size_gb=environment.volume_size_gb)
    return 0.0
