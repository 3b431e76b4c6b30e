"""Environments' logs as they are written: read once in a process for all who watch, and only while somebody does.

A machine is asked by one short command every second or two for what is new since given offsets (log_files.py), and not
by a `tail -F` that stays: that would take one of sshd's channels for as long as somebody watches, and, when a
connection breaks, nobody would know which of its bytes had arrived.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.utils import timezone

from devpocket.logs import about
from devpocket.tasks import TaskOwner
from environments import connections
from environments.log_buffer import Entry, LogBuffer
from environments.log_files import IncompleteAnswer, LogFiles, merged
from environments.log_lines import Line
from environments.logs import EVENTS_MAX, HAS_LOGS, event_line
from environments.models import Environment, EnvironmentEvent
from environments.ssh import HostKeyMismatch, SSHUnavailable, Target

log = structlog.get_logger(__name__)

BUSY_EVERY_S, READ_EVERY_S = 1.0, 2.0  # while lines come, and while none do
MORE_EVERY_S = 0.05  # while the machine has more than fits into an answer
LOOK_EVERY_S = 10.0  # at the row, in case a nudge got lost
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0)  # after failures in a row; a nudge ends it
COMMAND_LIMIT_S = 4.0
FIRST_LIMIT_S = 4.5  # how long a viewer waits for a machine's first answer
READS_MAX = 32  # in a process at once; each holds up to 256 KiB of text
PARSES_MAX = 2  # they share the interpreter with the event loop
PARSED_AT_ONCE_CHARS = 4096  # 2 ms; more is parsed in a thread
LINES_MAX, CHARS_MAX = 2000, 1024 * 1024  # kept of an environment; contract 9.5 asks for 1000
STEP_LINES = 100  # handed to a viewer at once
PACE_LINES = 500  # after which the fastest viewer is waited for
PACE_LIMIT_S = 1.0
EVENTS_BACK = 100  # numbers, within which an event of a transaction that took its time may still show up

NO_ANSWER = (SSHUnavailable, HostKeyMismatch, IncompleteAnswer)

# Threads of its own, not that of the socket that was the first to watch.
_in_thread = partial(database_sync_to_async, thread_sensitive=False)


@dataclass(frozen=True, slots=True)
class _Standing:
    """`machine`: what its files are known by; `target` None: it has none that could be read. `is_set_up`: its set-up is
    over, and what was logged of it long ago."""

    machine: str
    is_set_up: bool
    target: Target | None
    events: list[tuple[int, Line]]


def machine_of(environment: Environment) -> str:
    """A name of the environment's machine, that no later one has; empty while there is none."""
    return str(environment.droplet_id or environment.droplet_ip or "")


def _look(environment_id: UUID, events_after: int | None) -> _Standing | None:
    """Sync. How to reach the machine, and the events with larger numbers, all where None; None: the row is gone."""
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment is None:
        return None
    events = EnvironmentEvent.objects.filter(environment_id=environment_id)
    if events_after is not None:
        events = events.filter(pk__gt=events_after)
    newest = list(events.order_by("-at", "-pk")[:EVENTS_MAX])
    has_logs = environment.phase in HAS_LOGS and bool(environment.droplet_ip)
    return _Standing(
        machine_of(environment),
        environment.installation_completed,
        connections.target_for(environment) if has_logs else None,
        [(event.pk, event_line(event)) for event in reversed(newest)],
    )


class LogFollower:
    """One environment's, for all its viewers."""

    def __init__(self, environment_id: UUID, room: asyncio.Semaphore, parsing: asyncio.Semaphore) -> None:
        self._environment_id, self._room, self._parsing = environment_id, room, parsing
        self.buffer = LogBuffer(lines_max=LINES_MAX, chars_max=CHARS_MAX)
        self.viewers = 0
        self._grew = asyncio.Event()
        self._following = 0
        self._caught_up = asyncio.Event()  # one of those that follow has all lines
        self._first = asyncio.Event()  # there is what could be had at first
        self._news = asyncio.Event()
        self._looked_at = float("-inf")
        self._machine = ""
        self._target: Target | None = None
        self._files: LogFiles | None = None
        self._events_seen: set[int] = set()
        self._last_event: int | None = None
        self._tasks = TaskOwner()

    def start(self) -> None:
        # In a context of its own: it may outlive the socket that is the first to watch.
        contextvars.Context().run(self._tasks.start, self._run(), name=f"logs-{self._environment_id}")

    async def aclose(self) -> None:
        await self._tasks.aclose()

    # --- Reading

    def look(self) -> None:
        """The environment's row has changed."""
        self._looked_at = float("-inf")
        self._news.set()

    async def _run(self) -> None:
        about(environment_id=self._environment_id)
        failures = 0
        while True:
            self._news.clear()
            groups: list[list[Line]] = []
            has_more = False
            try:
                groups.append(await self._look())
                if self._target is not None:
                    lines, has_more = await self._read(self._target)
                    groups += lines
                failures = 0
            except NO_ANSWER as error:  # it comes up, or goes down, or its network does
                failures += 1
                if failures == 1:
                    log.info("logs_unavailable", environment=str(self._environment_id), error=str(error))
            except Exception:
                failures += 1
                log.exception("log_follow_failed", environment=str(self._environment_id))
            await self._add(merged(groups))
            if has_more:
                await asyncio.sleep(MORE_EVERY_S)
            else:
                await self._pause(failures, is_busy=any(groups))

    async def _pause(self, failures: int, *, is_busy: bool) -> None:
        self._first.set()
        if failures:
            wait_s = BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1]
        else:
            wait_s = BUSY_EVERY_S if is_busy else READ_EVERY_S
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()

    async def _add(self, lines: list[Line]) -> None:
        """Not faster than the fastest viewer takes them: many short lines come at once, and few are kept."""
        for first in range(0, len(lines), PACE_LINES):
            if self._following:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PACE_LIMIT_S):
                        await self._caught_up.wait()
            self.buffer.append(self._machine, lines[first : first + PACE_LINES])
            self._caught_up.clear()
            self._grew.set()
            self._grew = asyncio.Event()

    async def _look(self) -> list[Line]:
        """How the row is, where that may have changed; the events since the last look."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_EVERY_S:
            return []
        self._looked_at = now  # before looking: a nudge meanwhile is for the next look
        events_after = None if self._last_event is None else self._last_event - EVENTS_BACK
        try:
            standing = await _in_thread(_look)(self._environment_id, events_after)
        except BaseException:
            self._looked_at = float("-inf")
            raise
        if standing is None:
            self._target = None
            return []
        if standing.machine and standing.machine != self._machine:
            # One that comes while somebody watches, or is still being set up, is read from its beginning, however late
            # it answers.
            is_old = self._last_event is None and standing.is_set_up
            self._machine, self._files = standing.machine, LogFiles(from_end=is_old)
        self._target = standing.target
        return self._new_events(standing.events)

    def _new_events(self, events: list[tuple[int, Line]]) -> list[Line]:
        new = [(number, line) for number, line in events if number not in self._events_seen]
        self._last_event = max([self._last_event or 0, *(number for number, _ in new)])
        seen = self._events_seen | {number for number, _ in new}
        self._events_seen = {number for number in seen if number > self._last_event - EVENTS_BACK}
        return [line for _, line in new]

    async def _read(self, target: Target) -> tuple[list[list[Line]], bool]:
        """New lines by file, and whether there is more. Raises: SSHUnavailable, HostKeyMismatch, IncompleteAnswer."""
        files = self._files
        assert files is not None  # noqa: S101 -- made with the machine's name, without which there is no target
        async with self._room:
            result = await connections.pool.run(target, files.command(), timeout_s=COMMAND_LIMIT_S)
        take = partial(files.take, result.stdout, now=timezone.now())
        if len(result.stdout) <= PARSED_AT_ONCE_CHARS:
            return take()
        async with self._parsing:
            return await asyncio.to_thread(take)

    # --- Viewing

    def history_start(self, lines: int) -> int:
        """The number of the first of the newest `lines`."""
        return max(self.buffer.start, self.buffer.end - lines)

    async def first_answer(self) -> None:
        """Wait until the machine has answered, or hasn't for FIRST_LIMIT_S, or there is none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LIMIT_S):
                await self._first.wait()

    async def follow(self, number: int) -> AsyncGenerator[tuple[int, list[Entry]], None]:
        """Lines from `number` on as they come, in steps: how many are left out before, for they were forgotten, and
        the lines. Whoever reads slowly leaves out; nothing is kept for them.
        """
        self._following += 1
        try:
            while True:
                grew = self._grew  # taken before looking, so no wake-up is missed
                first, entries = self.buffer.since(number, STEP_LINES)
                if entries:
                    yield first - number, entries
                    number = first + len(entries)
                else:
                    self._caught_up.set()
                    await grew.wait()
        finally:
            self._following -= 1


class LogFollowers:
    """This process's, by environment."""

    def __init__(self) -> None:
        self._followers: dict[UUID, LogFollower] = {}
        self._room, self._parsing = asyncio.Semaphore(READS_MAX), asyncio.Semaphore(PARSES_MAX)

    def __len__(self) -> int:
        return len(self._followers)

    @asynccontextmanager
    async def watching(self, environment_id: UUID) -> AsyncIterator[LogFollower]:
        """The environment's follower, which reads for as long as somebody watches."""
        follower = self._followers.get(environment_id)
        if follower is None:
            follower = self._followers[environment_id] = LogFollower(environment_id, self._room, self._parsing)
            follower.start()
        follower.viewers += 1
        try:
            yield follower
        finally:
            follower.viewers -= 1
            if follower.viewers == 0:
                del self._followers[environment_id]
                await follower.aclose()


followers = LogFollowers()
