"""Changes that people ask for: create, start, stop, restart, recover, hibernate, delete. The provisioner does them.

What changes within a machine's life (name, variables, size, snapshots) is in changes.py and snapshots.py.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet, UUIDField
from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.keys import generate_pair
from accounts.models import User
from accounts.plans import plan_limits
from devpocket.cache import shared_or_own
from devpocket.errors import NotFound
from devpocket.fixed_query import FixedQuery, Given
from devpocket.nudges import environment_nudge_on_commit
from environments import wake
from environments.errors import EnvironmentLimitReached, InvalidState, NameTaken
from environments.idempotency import Repeatable, find_first, first_record
from environments.lifecycle import (
    ACTIONS,
    COMPAT_STATUS,
    HIBERNATE_LIMIT_S,
    MESSAGES,
    RECOVER_LIMIT_S,
    RESUME_LIMIT_S,
    Desired,
    Phase,
    TerminalWhen,
)
from environments.models import Environment, IdempotencyKey
from environments.records import event_record, phase_columns
from templates_catalog.models import Template

log = structlog.get_logger(__name__)

HOST_KEY_EVENT_EVERY_S = 3600


def host_slug(name: str, environment_id: UUID) -> str:
    """A host name from a human one ("Mein Café!" gives mein-cafe-5d0c1d), unique by the id's first six digits."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-")
    return f"{base or 'environment'}-{environment_id.hex[:6]}"


@dataclass(frozen=True, slots=True)
class Created:
    """`first`: the record of an earlier create with this key, whose answer is to be given again; None: it is new."""

    environment: Environment
    first: IdempotencyKey | None = None


def environment_create(
    *, owner_id: UUID, template: Template, name: str, repeatable: Repeatable | None = None, **columns: Any
) -> Created:
    """Write the row of a new environment, within the owner's limit, and wake the provisioner.

    `columns`: the other columns of Environment, checked by the caller.

    Raises: EnvironmentLimitReached, NameTaken, TokenInvalid (the account was closed), InvalidInput (the key was used
    for something else); then nothing was written.
    """
    environment_id = uuid.uuid4()
    host_key = generate_pair()
    try:
        with transaction.atomic():
            # The lock makes two parallel creates of one user take turns, so that both can't see room for the last one.
            owner = User.objects.select_for_update(no_key=True).get(pk=owner_id)
            if not owner.is_active:  # closed while this waited: nobody would own the machine
                raise TokenInvalid("Your account is closed.")
            if repeatable is not None and (first := find_first(repeatable, user_id=owner.pk)) is not None:
                return Created(first.environment, first)
            _check_limit(owner)
            environment = Environment.objects.create(
                id=environment_id,
                owner=owner,
                template=template,
                name=name,
                slug=host_slug(name, environment_id),
                status_message=MESSAGES[Phase.CREATING],
                terminal_when=(template.config or {}).get("terminal_when", TerminalWhen.SSH),
                host_public_key=host_key.public,
                host_private_key=host_key.private,
                **columns,
            )
            Template.objects.filter(pk=template.pk).update(usage_count=F("usage_count") + 1)
            event_record(environment, kind="create_requested", actor_id=owner_id)
            if repeatable is not None:
                first_record(repeatable, user_id=owner.pk, environment=environment)
            environment_nudge_on_commit(environment.pk, owner_id)
            transaction.on_commit(wake.provisioner.wake)
    except IntegrityError as error:
        if Environment.objects.filter(owner_id=owner_id, name__iexact=name).exclude(phase=Phase.TERMINATED).exists():
            raise NameTaken("You already have an environment of this name.") from error
        raise
    log.info("environment_create_requested", environment=str(environment.pk), user=str(owner_id))
    return Created(environment)


def _check_limit(owner: User) -> None:
    """All that isn't terminated counts: powered-off droplets are billed as well (contract section 10)."""
    limit = plan_limits(owner.plan).max_environments
    current = Environment.objects.filter(owner=owner).exclude(phase=Phase.TERMINATED).count()
    if limit is not None and current >= limit:
        raise EnvironmentLimitReached(
            f"Your plan allows {limit} environment{'' if limit == 1 else 's'}. Delete one or upgrade for another.",
            plan=owner.plan,
            limit=limit,
            current=current,
        )


def environment_act(
    *, environment_id: UUID, owner_id: UUID | None, action: str, actor_id: UUID | None, reason: str = "user"
) -> Environment:
    """Begin an action of lifecycle.ACTIONS: the row says so from now on, and the provisioner does it.

    Repeating an action that is under way or done has no effect. `owner_id` None: an operator's or the server's own
    action, on anybody's environment. `reason`: why it is stopped, for those that stop it.

    Raises:
        NotFound: no such environment of this owner.
        InvalidState: its phase doesn't allow the action; nothing was changed.
    """
    rule = ACTIONS[action]
    with transaction.atomic():
        environment = lock_environment(environment_id, owner_id)
        columns = phase_columns(rule.next, limit_s=_limit_s(environment, action))
        columns |= {"desired_state": rule.wants, "restore_from": None, "idle_extended_until": None}
        if rule.next == Phase.STOPPING:
            columns["last_stop_reason"] = reason if action == "stop" else action
        is_done = environment.phase in rule.no_op or (
            environment.desired_state == rule.wants == Desired.HIBERNATED
            and environment.phase in (Phase.STOPPING, Phase.STOPPED)
        )
        if is_done:
            return environment
        if environment.phase not in rule.allowed:
            raise wrong_phase(environment, action)
        row_change(environment, **columns)
        event_record(environment, kind=f"{action}_requested", actor_id=actor_id, message=_why(reason))
    log.info(f"environment_{action}_requested", environment=str(environment.pk), user=str(actor_id or ""))
    return environment


def _why(reason: str) -> str:
    return {"idle": "Nobody has used it for a while", "admin": "By an operator"}.get(reason, "")


def _limit_s(environment: Environment, action: str) -> float | None:
    """How long it may take, where that isn't what its phase usually may: where a disk has to be copied, or replaced."""
    if action in ("start", "restart") and environment.droplet_id is None:
        return RESUME_LIMIT_S
    return {"hibernate": HIBERNATE_LIMIT_S, "recover": RECOVER_LIMIT_S}.get(action)


def lock_environment(environment_id: UUID, owner_id: UUID | None, *, also_deleted: bool = False) -> Environment:
    """The row, held until the transaction ends, so that changes of it take turns. Raises: NotFound.

    `also_deleted`: as long as its machine isn't confirmed gone.
    """
    given: dict[str, UUID] = {"environment_id": environment_id}
    if owner_id is not None:
        given["owner_id"] = owner_id
    environment = _lock(is_owners=owner_id is not None, also_deleted=also_deleted)(**given).find_one()
    if environment is None:
        raise NotFound("There is no such environment.")
    return environment


@cache
def _lock(*, is_owners: bool, also_deleted: bool) -> FixedQuery[Environment]:
    def rows() -> QuerySet[Environment]:
        rows = Environment.objects.select_for_update(of=("self",)).select_related("template", "owner")
        rows = rows.filter(pk=Given("environment_id", UUIDField())).order_by()
        if is_owners:
            rows = rows.filter(owner_id=Given("owner_id", UUIDField()))
        return rows.filter(torn_down_at=None) if also_deleted else rows.exclude(phase=Phase.TERMINATED)

    return FixedQuery(rows)


def row_change(environment: Environment, **columns: Any) -> None:
    """Write these columns of a locked row, and tell those who wait for its changes."""
    columns = {"updated_at": timezone.now(), **columns}
    Environment.objects.filter(pk=environment.pk).update(**columns)
    for name, value in columns.items():
        setattr(environment, name, value)
    environment_nudge_on_commit(environment.pk, environment.owner_id)
    transaction.on_commit(wake.provisioner.wake)


def wrong_phase(environment: Environment, action: str) -> InvalidState:
    """The refusal of an action that the environment's phase doesn't allow."""
    phase = Phase(environment.phase)
    hint = {
        Phase.STOPPING: "It is still shutting down. Please wait a moment.",
        Phase.ERROR: "It is in an error state.",
    }.get(phase, f"It is {phase} now.")
    return invalid_state(environment, f"This environment can't {action} now. {hint}")


def invalid_state(environment: Environment, message: str, **context: Any) -> InvalidState:
    return InvalidState(
        message,
        errors=[{"field": "status", "message": message, "code": "invalid_state"}],
        phase=str(environment.phase),
        status=str(COMPAT_STATUS[Phase(environment.phase)]),
        **context,
    )


def activity_record(*, environment_id: UUID) -> None:
    """Somebody uses the environment now."""
    Environment.objects.filter(pk=environment_id).update(last_activity_at=timezone.now())


def host_key_mismatch_record(*, environment_id: UUID) -> None:
    """The running machine didn't show its host key: something else answers at its address, or somebody has changed it.

    An event once an hour at most, however often somebody comes back to try.
    """
    key = f"host-key-mismatch:{environment_id}"
    if shared_or_own(lambda cache: cache.add(key, True, HOST_KEY_EVENT_EVERY_S)):
        environment = Environment.objects.get(pk=environment_id)
        event_record(
            environment, kind="host_key_mismatch", message="The machine doesn't show the host key it was given."
        )


def environments_delete_all(*, user_id: UUID) -> None:
    """Delete every environment of a user whose account is being closed."""
    for environment_id in (
        Environment.objects.filter(owner_id=user_id).exclude(phase=Phase.TERMINATED).values_list("pk", flat=True)
    ):
        environment_act(environment_id=environment_id, owner_id=user_id, action="delete", actor_id=user_id)
