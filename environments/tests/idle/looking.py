"""A clock of the test's own, and what is looked at and seen at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from environments.idle import idle_candidates, idle_settle
from environments.lifecycle import Phase
from environments.models import Environment, MetricSample

MINUTES = 60
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Minutes since the machine came up."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def at(self, minutes: float) -> Clock:
        self.now = START + timedelta(minutes=minutes)
        return self


def look(clock: Clock, *, answers: bool = True) -> None:
    """As IdleWatch.look does. `answers`: every machine has been measured just now."""
    if answers:
        for home in Environment.objects.filter(phase=Phase.RUNNING):
            MetricSample.objects.create(environment=home, at=clock(), cpu_usage=1.0)
    for environment_id in idle_candidates(clock()):
        idle_settle(environment_id, clock=clock)


def kinds(home: Environment) -> list[str]:
    return [event.kind for event in home.events.all()]


def fresh(home: Environment) -> Environment:
    return Environment.objects.get(pk=home.pk)
