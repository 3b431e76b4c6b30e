"""Reads of environments. Ownership is part of the query: somebody else's is the same as none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet, UUIDField
from django.utils import timezone

from accounts.selectors import authorized_keys
from devpocket.errors import NotFound
from devpocket.fixed_query import FixedQuery, FixedRows, Given
from devpocket.rows import find_one
from environments.cloud_init import MachineSpec
from environments.lifecycle import COMPAT_STATUS, Phase, Status
from environments.models import Environment, EnvironmentEvent, Snapshot
from environments.set_up.steps import recipe_of
from templates_catalog.models import Template

_SHOWN_OF_TEMPLATE = {"name", "display_name", "default_port"}
_NOT_SHOWN = ["host_private_key"] + [
    f"template__{column.name}" for column in Template._meta.fields if column.name not in _SHOWN_OF_TEMPLATE
]


def environments_of(owner_id: UUID | Given, *, with_terminated: bool = False) -> QuerySet[Environment]:
    """Newest first. Of its template there is what people are shown of it."""
    rows = Environment.objects.filter(owner_id=owner_id).select_related("template").defer(*_NOT_SHOWN)
    rows = rows.order_by("-created_at", "-pk")  # one order for all pages, also of those made at the same time
    return rows if with_terminated else rows.exclude(phase=Phase.TERMINATED)


def _own() -> QuerySet[Environment]:
    return environments_of(Given("owner_id", UUIDField()))


# The same as they are mostly asked for: all, one, and how many.
own_environments = FixedQuery(_own)
_own_environment = FixedQuery(lambda: _own().filter(pk=Given("environment_id", UUIDField())).order_by())
_own_ids = FixedQuery(lambda: _own().select_related(None).order_by().only("pk"))
_events = FixedQuery(
    lambda: (
        EnvironmentEvent.objects.filter(environment_id=Given("environment_id", UUIDField()))
        .select_related("actor")
        .only(*(column.name for column in EnvironmentEvent._meta.fields), "actor__username")
    )
)


def get_environment(environment_id: UUID, *, owner_id: UUID) -> Environment:
    """Raises: NotFound."""
    environment = _own_environment(owner_id=owner_id, environment_id=environment_id).find_one()
    if environment is None:
        raise NotFound("There is no such environment.")
    return environment


def get_phase(environment_id: UUID) -> Phase:
    """Raises: NotFound."""
    rows = Environment.objects.filter(pk=environment_id).exclude(phase=Phase.TERMINATED)
    phase = rows.values_list("phase", flat=True).first()
    if phase is None:
        raise NotFound("There is no such environment.")
    return Phase(phase)


def events_of(environment_id: UUID, *, owner_id: UUID) -> FixedRows[EnvironmentEvent]:
    """Oldest first. Raises: NotFound."""
    return _events(environment_id=get_environment(environment_id, owner_id=owner_id).pk)


def snapshots_of(environment_id: UUID, *, owner_id: UUID) -> QuerySet[Snapshot]:
    """Those that the owner asked for, newest first. Raises: NotFound."""
    environment = get_environment(environment_id, owner_id=owner_id)
    return environment.snapshots.filter(kind=Snapshot.Kind.USER, deleted_at=None)


def get_snapshot(snapshot_id: UUID, *, environment_id: UUID, owner_id: UUID) -> Snapshot:
    """Raises: NotFound."""
    snapshot = find_one(snapshots_of(environment_id, owner_id=owner_id).filter(pk=snapshot_id))
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    return snapshot


def environment_count(owner_id: UUID) -> int:
    """How many count against the owner's limit."""
    return _own_ids(owner_id=owner_id).count()


def environments_by_phase() -> dict[str, int]:
    """Everybody's, but for deleted ones."""
    live = Environment.objects.exclude(phase=Phase.TERMINATED).order_by()
    return dict(live.values_list("phase").annotate(Count("pk")))


def phases_for(word: str) -> set[Phase] | None:
    """The phases that a filter word means, a compat status or a phase; None for an unknown word.

    A word that is both (running, stopped, error, creating) means the wider one, the status.
    """
    if word in set(Status):
        return {phase for phase, status in COMPAT_STATUS.items() if status == word}
    if word in set(Phase):
        return {Phase(word)}
    return None


def find_hibernation(environment: Environment) -> Snapshot | None:
    """The copy of its disk that a hibernated environment's machine is made from again."""
    return Snapshot.objects.filter(
        environment_id=environment.pk,
        kind=Snapshot.Kind.HIBERNATION,
        status=Snapshot.Status.AVAILABLE,
        deleted_at=None,
    ).first()


def machine_spec(environment: Environment) -> MachineSpec:
    """What the environment's machine is to be set up from."""
    template = environment.template
    return MachineSpec(
        hostname=environment.slug,
        volume_name=environment.tag,
        host_private_key=environment.host_private_key,
        host_public_key=environment.host_public_key,
        authorized_keys=authorized_keys(environment.owner_id),
        environment_id=str(environment.pk),
        memory_mb=environment.memory_mb,
        password_hash=environment.password_hash,
        variables={**template.environment_variables, **environment.environment_variables},
        recipe=recipe_of(template.config, template.startup_commands, skips=settings.SETUP_SKIPS),
    )


def user_stats(owner_id: UUID) -> dict[str, Any]:
    """The environments' part of contract 4.3."""
    now = timezone.now()
    rows = Environment.objects.filter(owner_id=owner_id)
    live = rows.exclude(phase=Phase.TERMINATED)
    by_phase = dict(live.values_list("phase").annotate(count=Count("pk")).order_by())
    by_status: dict[str, int] = {}
    for phase, count in by_phase.items():
        status = str(COMPAT_STATUS[Phase(phase)])
        by_status[status] = by_status.get(status, 0) + count
    week, month = now - timedelta(days=7), now - timedelta(days=30)
    return {
        "total_environments": sum(by_phase.values()),
        "environments_by_status": by_status,
        "environments_by_phase": by_phase,
        "recent_activity": {
            "environments_created_last_7_days": rows.filter(created_at__gte=week).count(),
            "environments_created_last_30_days": rows.filter(created_at__gte=month).count(),
            "environments_active_last_week": live.filter(last_activity_at__gte=week).count(),
        },
    }
