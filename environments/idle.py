"""When a machine that nobody uses is stopped, and the service that warns its owner and then stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.mails import mail_queue
from accounts.models import Mail
from accounts.plans import plan_limits
from devpocket.errors import DomainError, NotFound
from devpocket.nudges import environment_nudge_on_commit
from devpocket.tasks import TaskOwner
from environments.lifecycle import Phase
from environments.models import Environment
from environments.records import event_record
from environments.services import environment_act, lock_environment

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 20.0
WARN_BEFORE = timedelta(minutes=10)
MEASURED_PERIODS = 3  # how old the last sample may be: turns are up to one and a half apart, and one may be late


def idle_stop_at(environment: Environment, *, minutes: int) -> datetime | None:
    """When it is stopped unless it is used before; None: not at all, for it isn't running, or is being set up, which
    the network may take its time for, or its plan never stops one.

    Used means somebody at a terminal or work on the machine; coming up counts as well. `minutes`: the plan's
    `idle_stop_minutes`.
    """
    if not minutes or environment.phase != Phase.RUNNING or environment.is_being_set_up:
        return None
    used = (environment.last_activity_at, environment.busy_at, environment.phase_changed_at)
    stop_at = max(at for at in used if at is not None) + timedelta(minutes=minutes)
    return max(stop_at, environment.idle_extended_until or stop_at)


def warning_time(*, minutes: int) -> timedelta:
    """How long before its stop its owner is warned."""
    return min(WARN_BEFORE, timedelta(minutes=minutes) / 2)


def find_warned_stop(environment: Environment) -> datetime | None:
    """When it is stopped, where its owner has been warned of it. Sync: may read the owner's plan."""
    if environment.idle_warned_at is None:
        return None
    return _warned_stop(environment, minutes=plan_limits(environment.owner.plan).idle_stop_minutes)


def _warned_stop(environment: Environment, *, minutes: int) -> datetime | None:
    """A warning before it was used again was of another stop. One that came late puts the stop off."""
    stop_at, warned_at = idle_stop_at(environment, minutes=minutes), environment.idle_warned_at
    before = warning_time(minutes=minutes)
    if stop_at is None or warned_at is None or warned_at < stop_at - before:
        return None
    return max(stop_at, warned_at + before)


def is_measured(environment: Environment, now: datetime) -> bool:
    """Whether it is known what goes on on the machine now: it was measured since its owner was warned, and just now.

    One that is too busy to answer isn't measured, and looks as if nobody used it. Without samples
    (METRICS_SECONDS=0) terminals alone tell.
    """
    if settings.METRICS_SECONDS <= 0:
        return True
    since = now - MEASURED_PERIODS * timedelta(seconds=settings.METRICS_SECONDS)
    if environment.idle_warned_at is not None:
        since = max(since, environment.idle_warned_at)
    return environment.samples.filter(at__gt=since).exists()


# --- What the service does


def idle_candidates(now: datetime) -> list[UUID]:
    """Running machines that may have to be warned of or stopped, and those warned of that may be in use again."""
    found: list[UUID] = []
    for plan in settings.PLANS:
        minutes = plan_limits(plan).idle_stop_minutes
        if not minutes:
            continue
        unused_since = now - timedelta(minutes=minutes) + warning_time(minutes=minutes)
        is_unused = (
            Q(phase_changed_at__lte=unused_since)
            & (Q(last_activity_at=None) | Q(last_activity_at__lte=unused_since))
            & (Q(busy_at=None) | Q(busy_at__lte=unused_since))
        )
        rows = Environment.objects.filter(is_unused | Q(idle_warned_at__isnull=False), phase=Phase.RUNNING)
        found += rows.filter(owner__plan=plan).values_list("pk", flat=True)
    return found


def idle_settle(environment_id: UUID, *, clock: Callable[[], datetime] = timezone.now) -> None:
    """Do what is to be done about one machine now: warn, stop, or take a warning back.

    The row is held from the look to the stop, so that a keystroke comes either before it, and is seen, or after it.
    """
    with transaction.atomic():
        try:
            environment = lock_environment(environment_id, None)
        except NotFound:
            return
        now = clock()
        minutes = plan_limits(environment.owner.plan).idle_stop_minutes
        stop_at = idle_stop_at(environment, minutes=minutes)
        if stop_at is None:
            return
        before = warning_time(minutes=minutes)
        if now < stop_at - before:
            if environment.idle_warned_at is not None:
                Environment.objects.filter(pk=environment.pk).update(idle_warned_at=None)
        elif (warned_stop := _warned_stop(environment, minutes=minutes)) is None:
            # Also where its time is over already: after an outage of ours nobody knows what went on on the machine,
            # and the time between warning and stop is enough to find out.
            _warn(environment, stop_at=max(stop_at, now + before), now=now, minutes=minutes)
        elif now >= warned_stop and is_measured(environment, now):
            # Else it is put off, without another warning, until the machine has answered and still isn't in use.
            environment_act(environment_id=environment.pk, owner_id=None, action="stop", actor_id=None, reason="idle")


def _warn(environment: Environment, *, stop_at: datetime, now: datetime, minutes: int) -> None:
    # Not row_change: nothing that the provisioner or a client's list looks for has changed.
    Environment.objects.filter(pk=environment.pk).update(idle_warned_at=now)
    event_record(environment, kind="idle_warning", message=f"Stops at {stop_at:%H:%M} UTC unless it is used")
    mail_queue(
        kind=Mail.Kind.IDLE_WARNING,
        address=environment.owner.email,
        context={"name": environment.name, "stops_at": stop_at.isoformat(), "minutes": minutes},
    )
    environment_nudge_on_commit(environment.pk, environment.owner_id)
    log.info("environment_idle_warned", environment=str(environment.pk), stops_at=stop_at.isoformat())


class IdleWatch:
    """The loop. Any number of processes may run one: one of them looks at a time."""

    def __init__(self, *, look_every_s: float = LOOK_EVERY_S, clock: Callable[[], datetime] = timezone.now) -> None:
        self._look_every_s, self._clock = look_every_s, clock

    async def run(self) -> None:
        """Look and act until cancelled."""
        while True:
            try:
                if await database_sync_to_async(self._is_my_turn)():
                    await self.look()
            except Exception:
                log.exception("idle_look_failed")
            await asyncio.sleep(self._look_every_s)

    def _is_my_turn(self) -> bool:
        # It ends a little before the next look, so that this process, or a faster one, gets the next turn.
        return cache.add("job:idle-watch", 1, timeout=max(1, round(self._look_every_s * 0.9)))

    async def look(self) -> None:
        """Look at every machine once."""
        for environment_id in await database_sync_to_async(idle_candidates)(self._clock()):
            try:
                await database_sync_to_async(idle_settle)(environment_id, clock=self._clock)
            except DomainError as error:
                log.warning("idle_stop_refused", environment=str(environment_id), error=error.message)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Watch for as long as the server runs, where any plan stops idle machines."""
    tasks = TaskOwner()
    if any(plan_limits(plan).idle_stop_minutes for plan in settings.PLANS):
        tasks.start(IdleWatch().run(), name="idle-watch")
    try:
        yield
    finally:
        await tasks.aclose()
