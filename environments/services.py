"""Every change that people ask for: create, start, stop, delete. The provisioner carries it out."""

from __future__ import annotations

import re
import unicodedata
import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.keys import generate_pair
from accounts.models import User
from accounts.plans import plan_limits
from devpocket.errors import NotFound
from devpocket.nudges import environment_group, nudge_on_commit
from environments import wake
from environments.errors import EnvironmentLimitReached, InvalidState, NameTaken
from environments.lifecycle import ACTIONS, COMPAT_STATUS, FIRST_PROGRESS, MESSAGES, Phase, deadline_s
from environments.models import Environment, EnvironmentEvent
from templates_catalog.models import Template

log = structlog.get_logger(__name__)


def host_slug(name: str, environment_id: UUID) -> str:
    """A host name from a human one ("Mein Café!" gives mein-cafe-5d0c1d), unique by the id's first six digits."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-")
    return f"{base or 'environment'}-{environment_id.hex[:6]}"


def environment_create(*, owner_id: UUID, template: Template, name: str, **columns: Any) -> Environment:
    """Write the row of a new environment, within the owner's limit, and wake the provisioner.

    `columns`: the other columns of Environment, checked by the caller.

    Raises: EnvironmentLimitReached, NameTaken, TokenInvalid (the account was closed); then nothing was written.
    """
    environment_id = uuid.uuid4()
    host_key = generate_pair()
    try:
        with transaction.atomic():
            # The lock makes two parallel creates of one user take turns, so that both can't see room for the last one.
            owner = User.objects.select_for_update(no_key=True).get(pk=owner_id)
            if not owner.is_active:  # closed while this waited: nobody would own the machine
                raise TokenInvalid("Your account is closed.")
            _check_limit(owner)
            environment = Environment.objects.create(
                id=environment_id,
                owner=owner,
                template=template,
                name=name,
                slug=host_slug(name, environment_id),
                status_message=MESSAGES[Phase.CREATING],
                host_public_key=host_key.public,
                host_private_key=host_key.private,
                **columns,
            )
            Template.objects.filter(pk=template.pk).update(usage_count=F("usage_count") + 1)
            event_record(environment, kind="create_requested", actor_id=owner_id)
            transaction.on_commit(wake.provisioner.wake)
    except IntegrityError as error:
        if Environment.objects.filter(owner_id=owner_id, name__iexact=name).exclude(phase=Phase.TERMINATED).exists():
            raise NameTaken("You already have an environment of this name.") from error
        raise
    log.info("environment_create_requested", environment=str(environment.pk), user=str(owner_id))
    return environment


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


def environment_act(*, environment_id: UUID, owner_id: UUID, action: str, actor_id: UUID) -> Environment:
    """Begin start, stop or delete: the row says so from now on, and the provisioner does it.

    Repeating an action that is under way or done has no effect.

    Raises:
        NotFound: no such environment of this owner.
        InvalidState: its phase doesn't allow the action; nothing was changed.
    """
    rule = ACTIONS[action]
    with transaction.atomic():
        rows = Environment.objects.filter(pk=environment_id, owner_id=owner_id).exclude(phase=Phase.TERMINATED)
        moved = rows.filter(phase__in=rule.allowed).update(
            desired_state=rule.wants, action_requested_at=None, **phase_columns(rule.next)
        )
        environment = Environment.objects.filter(pk=environment_id, owner_id=owner_id).first()
        if environment is None or (not moved and environment.phase == Phase.TERMINATED):
            raise NotFound("There is no such environment.")
        if moved:
            event_record(environment, kind=f"{action}_requested", actor_id=actor_id)
            nudge_on_commit(environment_group(environment.pk), "environment.changed")
            transaction.on_commit(wake.provisioner.wake)
        elif environment.phase not in rule.no_op:
            raise _wrong_phase(environment, action)
    return environment


def _wrong_phase(environment: Environment, action: str) -> InvalidState:
    phase = Phase(environment.phase)
    hint = {
        Phase.STOPPING: "It is still shutting down. Please wait a moment.",
        Phase.ERROR: "It is in an error state.",
    }.get(phase, f"It is {phase} now.")
    message = f"This environment can't {action} now. {hint}"
    return InvalidState(
        message,
        errors=[{"field": "status", "message": message, "code": "invalid_state"}],
        phase=str(phase),
        status=str(COMPAT_STATUS[phase]),
    )


def phase_columns(phase: Phase) -> dict[str, Any]:
    """What a row gets when it enters a phase: its times, its first progress and message, and the next look at once."""
    now = timezone.now()
    columns: dict[str, Any] = {
        "phase": phase,
        "phase_changed_at": now,
        "updated_at": now,
        "next_step_at": now,
        "failed_steps": 0,
        "status_message": MESSAGES.get(phase, ""),
    }
    if phase in FIRST_PROGRESS:
        columns["progress"] = FIRST_PROGRESS[phase]
    if phase != Phase.CONFIGURING:  # which has to end within the time of `installing`
        limit = deadline_s(phase, install_timeout_minutes=settings.INSTALL_TIMEOUT_MINUTES)
        columns["deadline_at"] = now + timedelta(seconds=limit) if limit is not None else None
    if phase != Phase.ERROR:
        columns |= {"error_code": "", "error_message": "", "error_phase": "", "error_at": None}
    return columns


def event_record(
    environment: Environment, *, kind: str, actor_id: UUID | None = None, message: str = "", cloud_request_id: str = ""
) -> None:
    """Add to the environment's history, with the phase it is in now."""
    EnvironmentEvent.objects.create(
        environment_id=environment.pk,
        kind=kind,
        phase=environment.phase,
        message=message[:300],
        actor_id=actor_id,
        cloud_request_id=cloud_request_id[:100],
    )


def activity_record(*, environment_id: UUID) -> None:
    """Somebody uses the environment now."""
    Environment.objects.filter(pk=environment_id).update(last_activity_at=timezone.now())


def environments_delete_all(*, user_id: UUID) -> None:
    """Delete every environment of a user whose account is being closed."""
    for environment_id in (
        Environment.objects.filter(owner_id=user_id).exclude(phase=Phase.TERMINATED).values_list("pk", flat=True)
    ):
        environment_act(environment_id=environment_id, owner_id=user_id, action="delete", actor_id=user_id)
