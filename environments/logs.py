"""An environment's logs: what its machine has, and what we know ourselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from channels.db import database_sync_to_async

from devpocket.times import time_text
from environments import connections
from environments.lifecycle import Phase
from environments.log_lines import Level, Line, Source, select
from environments.log_reader import NO_ANSWER, reader
from environments.models import Environment, EnvironmentEvent
from environments.selectors import get_environment
from environments.ssh import Target

log = structlog.get_logger(__name__)

EVENTS_MAX = 1000  # as many as an answer can hold
# While it is set up, and after that has failed, are when its owner wants to see its logs most.
HAS_LOGS = frozenset({Phase.INSTALLING, Phase.CONFIGURING, Phase.RUNNING, Phase.ERROR})
EVENT_LEVELS = {"error": Level.ERROR, "idle_warning": Level.WARN}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is asked for: the newest `lines` of those that match."""

    lines: int = 100
    since: datetime | None = None
    levels: Collection[Level] = field(default_factory=lambda: tuple(Level))
    sources: Collection[Source] = field(default_factory=lambda: tuple(Source))


async def environment_logs(*, environment_id: UUID, owner_id: UUID, query: LogQuery) -> dict[str, Any]:
    """What contract 5.8 answers, `logs` as objects in `entries` and as text in `logs`. Within 5 s, whatever the
    machine does: one that can't be reached adds nothing. Raises: NotFound.
    """
    environment, target = await database_sync_to_async(_known)(environment_id, owner_id)
    lines: list[Line] = []
    if target is not None:
        try:
            lines = await reader.lines(environment_id, target, query.sources)
        except NO_ANSWER as error:
            log.info("logs_unavailable", environment=str(environment_id), error=str(error) or type(error).__name__)
    return await database_sync_to_async(_answer)(environment, query, lines)


def _known(environment_id: UUID, owner_id: UUID) -> tuple[Environment, Target | None]:
    """Sync. The environment, and how to reach its machine where that may be up."""
    environment = get_environment(environment_id, owner_id=owner_id)
    if environment.phase not in HAS_LOGS or not environment.droplet_ip:
        return environment, None
    return environment, connections.target_for(environment)


def _answer(environment: Environment, query: LogQuery, lines: list[Line]) -> dict[str, Any]:
    """Sync, and off the event loop: there may be a hundred thousand lines to choose from."""
    if Source.DEVPOCKET in query.sources:
        lines = [*_events(environment, query.since), *lines]
    shown, total = select(lines, levels=query.levels, sources=query.sources, since=query.since, limit=query.lines)
    return {
        "environment_id": str(environment.pk),
        "environment_name": environment.name,
        "logs": [str(line) for line in shown],
        "entries": [
            {
                "timestamp": time_text(line.at),
                "level": str(line.level),
                "message": line.message,
                "source": str(line.source),
            }
            for line in shown
        ],
        "total": total,
        "total_lines": total,
        "has_more": total > len(shown),
    }


def _events(environment: Environment, since: datetime | None) -> list[Line]:
    events = EnvironmentEvent.objects.filter(environment_id=environment.pk)
    if since is not None:
        events = events.filter(at__gte=since)
    return [event_line(event) for event in reversed(events.order_by("-at", "-pk")[:EVENTS_MAX])]


def event_line(event: EnvironmentEvent) -> Line:
    told = f"{event.kind}: {event.phase}" if event.kind == "phase_changed" else event.kind
    message = f"{told}: {event.message}" if event.message else told
    return Line(event.at, EVENT_LEVELS.get(event.kind, Level.INFO), Source.DEVPOCKET, message)
