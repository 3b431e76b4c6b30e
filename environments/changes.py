"""Changes within an environment's life: its name and variables, its volume, its size, its idle time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.plans import plan_limits
from devpocket.errors import InvalidInput
from environments import wake
from environments.errors import NameTaken
from environments.lifecycle import AT_REST, Phase
from environments.models import Environment
from environments.records import event_record, phase_columns
from environments.services import invalid_state, lock_environment, row_change, wrong_phase
from templates_catalog.values import VARIABLES_MAX

log = structlog.get_logger(__name__)


def environment_update(
    *,
    environment_id: UUID,
    owner_id: UUID,
    name: str | None = None,
    description: str | None = None,
    variables: dict[str, str] | None = None,
    merge: dict[str, str | None] | None = None,
    storage_size_gb: int | None = None,
    is_description_given: bool = False,
) -> Environment:
    """Change what is given. `variables` replaces the map; `merge` sets single ones, and None there takes one away.

    Variables reach new shells; a machine that runs is told of them. A larger volume grows in the background.

    Raises: NotFound, NameTaken, InvalidInput (the volume would shrink or outgrow the plan); then nothing was written.
    """
    try:
        with transaction.atomic():
            environment = lock_environment(environment_id, owner_id)
            columns: dict[str, Any] = {}
            if name is not None and name != environment.name:
                columns["name"] = name
            if is_description_given and description != environment.description:
                columns["description"] = description
            wanted = _variables(environment, variables, merge)
            if wanted != environment.environment_variables:
                now = timezone.now()
                columns |= {"environment_variables": wanted, "variables_changed_at": now, "next_step_at": now}
            if storage_size_gb is not None and storage_size_gb != environment.storage_size_gb:
                _check_storage(environment, storage_size_gb)
                columns |= {"storage_size_gb": storage_size_gb, "next_step_at": timezone.now()}
            if columns:
                row_change(environment, **columns)
                changed = sorted(set(columns) - {"variables_changed_at", "next_step_at"})
                event_record(environment, kind="changed", actor_id=owner_id, message=", ".join(changed))
    except IntegrityError as error:
        raise NameTaken("You already have an environment of this name.") from error
    return environment


def environments_keys_changed(*, user_id: UUID) -> None:
    """Who may log in to a user's machines has changed: those that run are told now, the others when they run next.

    In the transaction of the change, which holds the user's row, so that none that is being created is missed.
    """
    now = timezone.now()
    rows = Environment.objects.filter(owner_id=user_id).exclude(phase=Phase.TERMINATED)
    rows.update(keys_changed_at=now)
    rows.filter(phase=Phase.RUNNING).update(next_step_at=now)
    transaction.on_commit(wake.provisioner.wake)


def _variables(
    environment: Environment, variables: dict[str, str] | None, merge: dict[str, str | None] | None
) -> dict[str, str]:
    wanted = dict(environment.environment_variables if variables is None else variables)
    for key, value in (merge or {}).items():
        if value is None:
            wanted.pop(key, None)
        else:
            wanted[key] = value
    if len(wanted) > VARIABLES_MAX:
        raise InvalidInput.field("environment_variables", f"At most {VARIABLES_MAX} variables are possible.")
    return wanted


def _check_storage(environment: Environment, storage_size_gb: int) -> None:
    if storage_size_gb < environment.storage_size_gb:
        message = f"The volume has {environment.storage_size_gb} GB; it can grow, but not shrink."
        raise InvalidInput.field("storage_size_gb", message, "min_value")
    cap_gb = plan_limits(environment.owner.plan).max_storage_gb
    if storage_size_gb > cap_gb:
        message = f"Your plan allows at most {cap_gb} GB of storage."
        raise InvalidInput.field("storage_size_gb", message, "max_value")


def environment_resize(
    *,
    environment_id: UUID,
    owner_id: UUID,
    actor_id: UUID,
    size: str,
    memory_mb: int,
    vcpus: int,
    disk_gb: int,
    price_usd_per_hour: float,
    is_disk_resized: bool,
) -> Environment:
    """Ask for another size; afterwards it is running or stopped again, as before.

    `is_disk_resized`: the disk grows too, for good; else only memory and CPUs change, and may be changed back.

    Raises: NotFound, InvalidState, InvalidInput (the same size, or a smaller disk).
    """
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        if environment.phase not in AT_REST:
            raise wrong_phase(environment, "be resized")
        if size == environment.size:
            raise InvalidInput.field("size", "It has this size already.")
        if disk_gb < environment.disk_gb:
            message = f"Its disk of {environment.disk_gb} GB doesn't fit this size, which has {disk_gb} GB."
            raise InvalidInput.field("size", message)
        # A hibernated one has no machine: the next is made with the whole disk of its size.
        is_disk_new = is_disk_resized or environment.droplet_id is None
        target = {
            "size": size,
            "memory_mb": memory_mb,
            "vcpus": vcpus,
            "disk_gb": disk_gb if is_disk_new else environment.disk_gb,
            "price_usd_per_hour": price_usd_per_hour,
            "disk": is_disk_resized,
        }
        row_change(environment, **phase_columns(Phase.RESIZING), resize_to=target, return_phase=str(environment.phase))
        event_record(environment, kind="resize_requested", actor_id=actor_id, message=f"To {size}")
    log.info("environment_resize_requested", environment=str(environment.pk), size=size)
    return environment


def environment_extend(*, environment_id: UUID, owner_id: UUID) -> Environment:
    """Put the stop for being idle off by the plan's whole time, from now. Raises: NotFound, InvalidState."""
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        if environment.phase != Phase.RUNNING:
            raise wrong_phase(environment, "be kept awake")
        minutes = plan_limits(environment.owner.plan).idle_stop_minutes
        if not minutes:
            raise invalid_state(environment, "It isn't stopped for being idle, so there is nothing to put off.")
        until = timezone.now() + timedelta(minutes=minutes)
        row_change(environment, idle_extended_until=until, idle_warned_at=None)
        event_record(environment, kind="idle_extended", actor_id=owner_id, message=f"Until {until:%Y-%m-%d %H:%M} UTC")
    return environment


def lease_give_up(*, environment_id: UUID, actor_id: UUID) -> None:
    """An operator takes the row from whoever works on it; it is looked at anew, at once. Raises: NotFound.

    Also while it is being torn down, which must come to an end by all means.
    """
    with transaction.atomic():
        environment = lock_environment(environment_id, None, also_deleted=True)
        # The server's name is for the log: owners see their environment's events.
        log.warning("lease_taken", environment=str(environment.pk), held_by=environment.lease_owner)
        event_record(environment, kind="lease_taken", actor_id=actor_id)
        row_change(environment, lease_owner="", lease_until=None, next_step_at=timezone.now(), failed_steps=0)
