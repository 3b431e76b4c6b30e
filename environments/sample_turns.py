"""Whose turn it is to be sampled, and by which process."""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from environments.lifecycle import Phase
from environments.models import Environment

LOOK_AHEAD = 256  # due rows looked at to find those that are this process's own
BACKOFF_MAX_PERIODS = 8  # how long a machine that doesn't answer is left alone; it begins with 2
# What sampling needs of a row. Not its variables and its host key: to read one is to decrypt it.
COLUMNS = ("owner_id", "phase_changed_at", "busy_at", "droplet_ip", "host_public_key")


def next_turn(environment_id: UUID, now: datetime, *, period_s: float) -> datetime:
    """When a machine sampled now is to be sampled next: at its own second of each period, half a period away or more.

    The second follows from the id, so that machines that came up together are not sampled together for ever.
    """
    own_s = (environment_id.int % 2**32) / 2**32 * period_s
    turn_s = (now.timestamp() + period_s / 2 - own_s) // period_s + 1
    return datetime.fromtimestamp(own_s + turn_s * period_s, tz=now.tzinfo)


def samples_claim(*, limit: int, own: Collection[UUID], wait_s: float, period_s: float) -> list[Environment]:
    """Machines whose turn it is now, for this process alone; each one's next turn is written.

    Those that it sampled before (`own`) at once, since it is connected to them; others when whoever is connected to
    them hasn't come for `wait_s`.
    """
    now = timezone.now()
    due = Environment.objects.filter(phase=Phase.RUNNING, sample_due_at__lte=now, droplet_ip__isnull=False)
    overdue = now - timedelta(seconds=wait_s)
    rows = due.order_by("sample_due_at", "pk").values_list("pk", "sample_due_at")[:LOOK_AHEAD]
    turns = [(pk, due_at) for pk, due_at in rows if pk in own or due_at <= overdue][:limit]
    if not turns:
        return []
    claimed = []
    with transaction.atomic():
        for pk, due_at in turns:
            mine = Environment.objects.filter(pk=pk, phase=Phase.RUNNING, sample_due_at=due_at)
            if mine.update(sample_due_at=next_turn(pk, now, period_s=period_s)):
                claimed.append(pk)
    return list(Environment.objects.filter(pk__in=claimed, phase=Phase.RUNNING).only(*COLUMNS))


def sample_put_off(environment: Environment, *, failures: int, period_s: float) -> None:
    """A machine that doesn't answer is asked less often. `failures`: in a row, this one included."""
    pause_s = period_s * min(BACKOFF_MAX_PERIODS, 2 ** min(failures, 10)) * random.uniform(0.8, 1.0)  # noqa: S311
    rows = Environment.objects.filter(
        pk=environment.pk, phase=Phase.RUNNING, phase_changed_at=environment.phase_changed_at
    )
    rows.update(sample_due_at=timezone.now() + timedelta(seconds=pause_s))
