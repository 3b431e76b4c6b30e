"""Coming up: a volume, a droplet, its set-up; again from an error; back from hibernation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from environments.cloud import CloudNotFound, CloudRejected, CloudThrottled, Droplet
from environments.cloud_init import HOME, UserDataTooLarge, user_data
from environments.leases import variables_tell_later
from environments.lifecycle import RESUME_LIMIT_S, Phase
from environments.models import Environment
from environments.records import NOT_SET_UP
from environments.selectors import find_hibernation, machine_spec
from environments.ssh import HostKeyMismatch, SSHUnavailable
from environments.steps import tools as shared
from environments.steps.installing import (
    SSH_TIMEOUT_S,
    facts_of,
    is_given_up,
    is_open,
    read_progress,
    status_text,
    while_booting,
)
from environments.steps.telling import tell
from environments.steps.tools import (
    LATER_S,
    NEXT_VIEW,
    SHARED_TAG,
    SOON_S,
    GivenUp,
    NextLook,
    Tools,
    age_s,
    find_droplet,
    in_sh,
    is_view_fresh,
    last_line,
    missing_or_later,
    note_size,
    nudge_power,
    seen,
    wrong_host_key,
)
from environments.steps.volume import ensure_volume, holder_of_volume

log = structlog.get_logger(__name__)

# A simulated machine's home is a link to the volume, and no mount.
CHECK_LOGIN = in_sh(f"""\
[ -n "${{DEVPOCKET_ROOT:-}}" ] || mountpoint -q {HOME} || {{ echo unmounted; exit; }}
command -v tmux >/dev/null && echo ready
""")
RECOVER_LOOK_S = 60.0  # how long a machine in error may take to answer before it is replaced


# --- From nothing


async def create(environment: Environment, tools: Tools) -> NextLook:
    if environment.droplet_requested_at is not None:
        return await _recover(environment, tools)
    await ensure_volume(environment, tools)
    facts = {}
    if await tools.read(lambda: find_hibernation(environment)) is not None:  # a disk is copied
        facts["deadline_at"] = timezone.now() + timedelta(seconds=RESUME_LIMIT_S * settings.DEADLINE_SCALE)
    await tools.record_phase(environment, Phase.PROVISIONING, **facts)
    return 0.0


async def provision(environment: Environment, tools: Tools) -> NextLook:
    await ensure_volume(environment, tools)
    if environment.droplet_id is None and not await ensure_droplet(environment, tools):
        return LATER_S
    droplet = seen(environment, tools)
    if droplet is None and is_view_fresh(environment, tools):
        return await missing_or_later(environment, tools)
    if droplet is None or not _is_usable(environment, droplet):
        return NEXT_VIEW
    await note_size(environment, tools, droplet)
    size_gb = environment.filesystem_size_gb or environment.volume_size_gb
    await tools.record_phase(environment, Phase.INSTALLING, droplet_ip=droplet.ip, filesystem_size_gb=size_gb)
    return 0.0


def _is_usable(environment: Environment, droplet: Droplet) -> bool:
    """On, with an address, and with the volume: without that the home would be on a disk that is thrown away."""
    is_attached = environment.volume_id is None or environment.volume_id in droplet.volume_ids
    return droplet.status == "active" and droplet.ip is not None and is_attached


async def ensure_droplet(environment: Environment, tools: Tools) -> bool:
    """Find the environment's droplet or create it; False: it was asked for, and can't be seen yet.

    After a lost answer it is looked for by its tag, and by the volume, which only one droplet can have.
    """
    if environment.droplet_requested_at is not None:
        if await _adopt_droplet(environment, tools):
            return True
        if age_s(environment.droplet_requested_at) < shared.ADOPT_WINDOW_S:
            return False
    hibernation = await tools.read(lambda: find_hibernation(environment))
    text = await tools.read(lambda: _user_data(environment))
    image = int(hibernation.cloud_snapshot_id or 0) if hibernation else environment.image
    await tools.record_facts(environment, droplet_requested_at=timezone.now())
    try:
        droplet = await tools.cloud(
            lambda cloud: cloud.droplet_create(
                name=environment.slug,
                region=environment.region,
                size=environment.size,
                image=image,
                user_data=text,
                tags=[SHARED_TAG, environment.tag],
                volumes=[environment.volume_id] if environment.volume_id else [],
            )
        )
    except (CloudThrottled, CloudRejected) as error:
        # This call made none; but one that was given up may have, and hold the volume now.
        if isinstance(error, CloudRejected) and await _adopt_droplet(environment, tools):
            return True
        await tools.record_facts(environment, droplet_requested_at=None)
        if isinstance(error, CloudRejected) and await holder_of_volume(environment, tools) is not None:
            return False  # of a droplet that is gone already: it comes free within seconds
        raise
    await tools.record_facts(environment, droplet_id=droplet.id)
    return True


def _user_data(environment: Environment) -> str:
    """What the machine is set up from. Variables that the cloud has no room for are told to it over SSH instead.

    Raises: GivenUp, where it is too large without them.
    """
    spec = machine_spec(environment)
    try:
        return user_data(spec)
    except UserDataTooLarge:
        variables_tell_later(environment)
    try:
        return user_data(replace(spec, variables={}))
    except UserDataTooLarge as error:
        raise GivenUp("setup_too_large", f"The template's set-up is too large for the cloud: {error}.") from error


async def _adopt_droplet(environment: Environment, tools: Tools, *, besides: int | None = None) -> bool:
    """`besides`: one that is gone, and may still be listed."""
    tag = environment.tag
    found = await tools.cloud(lambda cloud: cloud.droplets_by_tag(tag))
    if not found and (holder := await holder_of_volume(environment, tools)) is not None:
        by_id = await find_droplet(tools, holder)
        found = [by_id] if by_id is not None else []
    found = [droplet for droplet in found if droplet.id != besides]
    if not found:
        return False
    keep = min(found, key=lambda droplet: droplet.id)
    for extra in (droplet for droplet in found if droplet.id != keep.id):
        log.error("doubled_droplet_deleted", environment=str(environment.pk), droplet=extra.id)
        await tools.cloud(lambda cloud, extra_id=extra.id: cloud.droplet_delete(extra_id))  # type: ignore[misc]
    await tools.record_facts(environment, droplet_id=keep.id)
    return True


async def run_when_login_works(environment: Environment, tools: Tools) -> NextLook:
    """Everything that has to be so before anybody is let in: the home, the keys, the variables of the first shell."""
    facts: dict[str, Any] = {}
    try:
        answer = last_line(await tools.ssh(environment, CHECK_LOGIN, timeout_s=SSH_TIMEOUT_S))
        if answer == "unmounted":  # what is saved now would be on a disk that is thrown away
            message = "The volume isn't mounted as the home directory. Recover makes a new machine with it."
            await tools.record_error(environment, "home_not_mounted", message)
            return None
        if answer != "ready":
            return LATER_S  # the deadline ends it where it stays so
        await tell(environment, tools)  # a disk that is full must not keep its owner out: tried again once it runs
        if not environment.installation_completed:
            progress, _ = await read_progress(environment, tools)
            facts = {**facts_of(progress), "status_message": status_text(progress)}
    except SSHUnavailable:
        return while_booting(environment)
    except HostKeyMismatch as error:
        return await wrong_host_key(environment, tools, error)
    await tools.record_phase(environment, Phase.RUNNING, **facts)
    return 0.0


# --- From off, or from hibernation


async def start(environment: Environment, tools: Tools) -> NextLook:
    """Switch the droplet on, or make one from what hibernation left."""
    if environment.droplet_id is None:
        if await tools.read(lambda: find_hibernation(environment)) is None:
            return await missing_or_later(environment, tools)
        await ensure_volume(environment, tools)
        return SOON_S if await ensure_droplet(environment, tools) else LATER_S
    droplet = seen(environment, tools)
    if droplet is None:
        return await missing_or_later(environment, tools)
    if droplet.status == "off":
        await nudge_power(environment, tools, droplet, "power_on")
    if not _is_usable(environment, droplet):
        return NEXT_VIEW
    await note_size(environment, tools, droplet)
    if droplet.ip != environment.droplet_ip:
        await tools.record_facts(environment, droplet_ip=droplet.ip)
    return await run_when_login_works(environment, tools)


# --- From an error


async def _recover(environment: Environment, tools: Tools) -> NextLook:
    """Go on with the droplet that is there, if it is of use; else replace it. The volume stays either way."""
    if environment.droplet_id is None and not await _adopt_droplet(environment, tools):
        return await _forget_droplet(environment, tools)
    droplet_id = environment.droplet_id
    assert droplet_id is not None  # noqa: S101 -- for the type checker
    droplet = await find_droplet(tools, droplet_id)
    if droplet is None:
        # Another has taken its place where the database was put back to an older state.
        with suppress(CloudNotFound):  # the volume's: told below
            if await _adopt_droplet(environment, tools, besides=droplet_id):
                return SOON_S
        return await _forget_droplet(environment, tools)
    if droplet.status == "off":
        await nudge_power(environment, tools, droplet, "power_on")
        return LATER_S
    if not _is_usable(environment, droplet):  # it never came up, or has lost its volume
        return await _replace_droplet(environment, tools)
    await note_size(environment, tools, droplet)
    if droplet.ip != environment.droplet_ip:
        await tools.record_facts(environment, droplet_ip=droplet.ip)
    try:
        progress, _ = await read_progress(environment, tools)
        login = await tools.ssh(environment, CHECK_LOGIN, timeout_s=SSH_TIMEOUT_S)
    except SSHUnavailable:
        if age_s(environment.phase_changed_at) < RECOVER_LOOK_S:
            return LATER_S
        return await _replace_droplet(environment, tools)
    except HostKeyMismatch:
        return await _replace_droplet(environment, tools)
    is_hopeless = not is_open(environment, progress) and (is_given_up(progress) or _had_its_time(droplet))
    if is_hopeless or last_line(login) == "unmounted":
        return await _replace_droplet(environment, tools)
    size_gb = environment.filesystem_size_gb or environment.volume_size_gb
    await tools.record_phase(environment, Phase.INSTALLING, filesystem_size_gb=size_gb)
    return 0.0


def _had_its_time(droplet: Droplet) -> bool:
    created_at = datetime.fromisoformat(droplet.created_at)
    return timezone.now() - created_at > timedelta(minutes=settings.INSTALL_TIMEOUT_MINUTES)


async def _replace_droplet(environment: Environment, tools: Tools) -> NextLook:
    log.warning("droplet_replaced", environment=str(environment.pk), droplet=environment.droplet_id)
    await tools.record_event(environment, "machine_replaced", "The machine was of no use; the volume is kept")
    tag, droplet_id = environment.tag, environment.droplet_id
    if droplet_id is not None:  # by its id as well: somebody may have taken its tags
        await tools.cloud(lambda cloud: cloud.droplet_delete(droplet_id))
    await tools.cloud(lambda cloud: cloud.droplets_delete_by_tag(tag))
    return LATER_S  # the next step finds it gone


async def _forget_droplet(environment: Environment, tools: Tools) -> NextLook:
    """There is no droplet any more: begin anew, once the volume is free."""
    requested_at = environment.droplet_requested_at
    is_unanswered = environment.droplet_id is None and requested_at is not None
    if is_unanswered and requested_at is not None and age_s(requested_at) < shared.ADOPT_WINDOW_S:
        return LATER_S  # a create whose answer was lost may still show up
    try:
        if await holder_of_volume(environment, tools) is not None:
            return LATER_S  # comes free some seconds after its droplet is gone (FACTS, Droplets)
    except CloudNotFound:
        message = "The volume, and what was on it, has disappeared at the cloud."
        await tools.record_error(environment, "volume_missing", message)
        return None
    await tools.record_facts(environment, droplet_id=None, droplet_ip=None, droplet_requested_at=None, **NOT_SET_UP)
    return 0.0
