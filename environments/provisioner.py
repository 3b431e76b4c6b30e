"""The service that brings every environment from what is to what is wanted. Any number of processes may run one.

It looks for rows that are due, takes each by a lease, does one step (steps.py) and says when to look again. All that
it knows is in the rows and at the cloud: killing it at any line loses nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.utils import timezone

from devpocket import stopping
from devpocket.logs import about
from devpocket.tasks import TaskOwner
from environments import cloudapi, connections, counters, leases, wake
from environments.budget import BudgetSpent
from environments.cloud import CloudClient, CloudError, CloudNotFound, CloudRejected, CloudThrottled
from environments.droplet_watch import DropletWatch
from environments.leases import LeaseLost
from environments.lifecycle import Desired, Phase
from environments.models import Environment, Snapshot
from environments.ssh import Result
from environments.steps import NEXT_VIEW, CloudView, NextLook, needs_view, step

T = TypeVar("T")
log = structlog.get_logger(__name__)

PARALLEL_STEPS = 32
PARALLEL_NEW = 4  # of them: rows that nothing was begun for yet, so that those under way have the calls they need
STEP_SHARE = 5 / 6  # of a lease: a step ends before its lease does
IDLE_LOOK_S = 2.0  # how soon rows changed by another process are noticed
LOOK_AT_MOST_EVERY_S = 0.1
BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
FINISH_LIMIT_S = 8.0  # what steps under way get when the process is told to end
NOT_FOUND_TRIES = 5
PACE = 1.0  # tests look more often than a real cloud should be asked
SPREAD_S = 2.0  # over which those come back that the limit of calls has sent away
TOLD_AFTER_S = 10.0  # who waits for longer than this is told why


def backoff_s(failures: int) -> float:
    """Doubling from 1 s to 60 s, halved at most by chance, so that rows that failed together don't return together."""
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0))  # noqa: S311


class Provisioner:
    """The loop. `owner` names this process in leases."""

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.watch = DropletWatch(self.owner)
        self._tasks = TaskOwner()
        self._busy: dict[uuid.UUID, bool] = {}  # rows in work, and whether they are new
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._finish_by: float | None = None  # the loop's time, once it was told to stop
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """A row has changed. Safe to call from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Look and work until cancelled."""
        log.info("provisioner_started", owner=self.owner)
        while True:
            self._wake.clear()
            pause_s = IDLE_LOOK_S
            try:
                pause_s = await self._look()
            except Exception:
                log.exception("provisioner_look_failed")
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def stop(self) -> None:
        """Begin nothing more. A row whose step ends is given back at once, to whatever process looks next."""
        if self._finish_by is None:
            self._finish_by = self._loop.time() + FINISH_LIMIT_S

    async def aclose(self) -> None:
        """Let the steps under way come to their end, FINISH_LIMIT_S after `stop`; then end them. Each gives its row
        back.
        """
        self.stop()
        try:
            async with asyncio.timeout_at(self._finish_by):
                while self._busy:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("steps_cut_off", steps=len(self._busy))
        await self._tasks.aclose()

    async def _look(self) -> float:
        """Begin a step for every row that is due; seconds until the next look."""
        room = 0 if self._finish_by is not None else PARALLEL_STEPS - len(self._busy)
        if room <= 0:
            return IDLE_LOOK_S  # a step that ends wakes the loop
        due = [
            row
            for row in await database_sync_to_async(leases.rows_due)(limit=2 * PARALLEL_STEPS)
            if row.pk not in self._busy
        ]
        waits = any(needs_view(row) for row in due)
        if waits or await database_sync_to_async(leases.droplets_exist)():
            await self.watch.refresh(waits=waits)
        room_for_new = PARALLEL_NEW - sum(self._busy.values())
        for row in due if self._finish_by is None else ():  # told to stop while it looked
            is_new = row.phase == Phase.CREATING
            if room <= 0 or (is_new and room_for_new <= 0):
                return IDLE_LOOK_S  # new ones come last; a step that ends wakes the loop
            room, room_for_new = room - 1, room_for_new - is_new
            self._busy[row.pk] = is_new
            self._tasks.start(self._work(row.pk), name=f"step-{row.pk}")
        next_due = await database_sync_to_async(leases.next_due_at)(besides=self._busy)
        if next_due is None:
            return IDLE_LOOK_S
        until_due_s = (next_due - timezone.now()).total_seconds()
        return max(LOOK_AT_MOST_EVERY_S, min(IDLE_LOOK_S, until_due_s))

    async def _work(self, environment_id: uuid.UUID) -> None:
        """Hold one row for one step."""
        about(environment_id=environment_id)
        try:
            environment = await database_sync_to_async(leases.lease_take)(environment_id, owner=self.owner)
            if environment is None:
                return
            about(user_id=environment.owner_id)
            next_look: NextLook = IDLE_LOOK_S  # also where the process is told to end in the middle
            failures = 0
            try:
                next_look, failures = await self._step(environment)
            finally:
                await database_sync_to_async(leases.lease_release)(
                    environment, owner=self.owner, next_step_s=next_look, failed_steps=failures
                )
        finally:
            self._busy.pop(environment_id, None)
            self._wake.set()
            self._idle.set()

    async def _step(self, environment: Environment) -> tuple[NextLook, int]:
        """One step; when to look again, and how many have failed in a row."""
        bound = log.bind(environment=str(environment.pk), phase=environment.phase)
        failures = environment.failed_steps + 1
        tools = StepTools(self.owner, self.watch.view)
        limit_s = settings.LEASE_SECONDS * STEP_SHARE
        try:
            async with asyncio.timeout(limit_s):
                next_look = await step(environment, tools)
            if next_look == NEXT_VIEW:
                return self.watch.next_in_s(), 0
            return None if next_look is None else next_look * PACE, 0
        except LeaseLost:
            bound.info("step_overtaken")
            return 0.0, 0
        except CloudThrottled as error:
            if not isinstance(error, BudgetSpent):
                bound.warning("cloud_throttled", retry_after_s=error.retry_after_s)
            if error.retry_after_s > TOLD_AFTER_S:
                await self._say_waiting(environment, tools, "Many machines are asked for right now; yours will follow")
            wait_s = min(error.retry_after_s, cloudapi.HOLD_MAX_S) + random.uniform(0.0, SPREAD_S)  # noqa: S311
            return wait_s, environment.failed_steps
        except (CloudRejected, CloudNotFound) as error:
            return await self._refused(environment, tools, error, failures)
        except CloudError as error:
            bound.warning("cloud_unreachable", error=str(error), failures=failures)
            await self._say_waiting(environment, tools)
            return backoff_s(failures), failures
        except TimeoutError:
            bound.warning("step_timed_out", limit_s=limit_s, failures=failures)
            return backoff_s(failures), failures
        except Exception:  # noqa: BLE001 -- a bug in a step must not stop the others, nor this row for good
            bound.exception("step_failed", failures=failures)
            return backoff_s(failures), failures

    async def _refused(
        self, environment: Environment, tools: StepTools, error: CloudRejected | CloudNotFound, failures: int
    ) -> tuple[NextLook, int]:
        """The cloud said no. Deletion goes on trying; anything else ends in `error`, for its user to see."""
        log.error("cloud_refused", environment=str(environment.pk), error=str(error), cloud_request_id=error.request_id)
        if isinstance(error, CloudRejected) and error.is_about_token:
            await self._say_waiting(environment, tools)
            return cloudapi.TOKEN_REFUSED_HOLD_S, failures
        if environment.desired_state == Desired.DELETED:
            return backoff_s(failures), failures
        if environment.phase in (Phase.RUNNING, Phase.STOPPED, Phase.ERROR):  # a chore, not the machine's life
            return backoff_s(failures), failures
        if isinstance(error, CloudNotFound) and failures <= NOT_FOUND_TRIES:
            return backoff_s(failures), failures  # gone since the last listing: the next step finds out what that means
        try:
            await tools.record_error(
                environment, "cloud_error", f"The cloud refused a step: {str(error).partition(': ')[2] or error}"
            )
        except LeaseLost:
            return 0.0, 0
        return None, 0

    async def _say_waiting(
        self,
        environment: Environment,
        tools: StepTools,
        message: str = "The cloud doesn't answer right now; we keep trying",
    ) -> None:
        if environment.phase not in (Phase.RUNNING, Phase.STOPPED, Phase.ERROR, Phase.TERMINATED):
            try:
                await tools.record_progress(environment, environment.progress, message)
            except LeaseLost:
                log.info("step_overtaken", environment=str(environment.pk))


class StepTools:
    """What one step works with (steps.tools.Tools). Remembers the cloud's id of its last request, for the events."""

    def __init__(self, owner: str, view: CloudView | None) -> None:
        self.owner, self.view = owner, view
        self._request_id = ""

    async def cloud(self, work: Callable[[CloudClient], T]) -> T:
        return await cloudapi.call(work, on_request_id=self._note)

    def _note(self, request_id: str) -> None:
        self._request_id = request_id

    async def read(self, work: Callable[[], T]) -> T:
        return await database_sync_to_async(work)()

    async def ssh(
        self, environment: Environment, command: str, *, timeout_s: float, stdin: bytes | None = None
    ) -> Result:
        target = await database_sync_to_async(connections.target_for)(environment)
        return await connections.pool.run(target, command, timeout_s=timeout_s, stdin=stdin)

    async def record_facts(self, environment: Environment, **facts: Any) -> None:
        await database_sync_to_async(leases.facts_record)(environment, owner=self.owner, **facts)

    async def record_progress(
        self, environment: Environment, progress: int, message: str, *, event: str = "", **facts: Any
    ) -> None:
        await database_sync_to_async(leases.progress_record)(
            environment, owner=self.owner, progress=progress, message=message, event=event, **facts
        )
        if event:
            log.info(event, environment=str(environment.pk))

    async def record_phase(self, environment: Environment, phase: Phase, message: str = "", **facts: Any) -> None:
        left, since = environment.phase, environment.phase_changed_at
        await database_sync_to_async(leases.phase_record)(
            environment, phase, owner=self.owner, message=message, cloud_request_id=self._request_id, **facts
        )
        counters.phase_ended(left, since)
        log.info("phase_changed", environment=str(environment.pk), phase=str(phase))

    async def record_error(self, environment: Environment, code: str, message: str) -> None:
        log.warning("environment_error", environment=str(environment.pk), error_code=code)
        left, since = environment.phase, environment.phase_changed_at
        await database_sync_to_async(leases.error_record)(
            environment, owner=self.owner, code=code, message=message, cloud_request_id=self._request_id
        )
        counters.phase_ended(left, since, failed=True)

    async def record_event(self, environment: Environment, kind: str, message: str) -> None:
        await database_sync_to_async(leases.happening_record)(
            environment, owner=self.owner, kind=kind, message=message, cloud_request_id=self._request_id
        )

    async def record_snapshot(self, environment: Environment, snapshot: Snapshot, **facts: Any) -> None:
        await database_sync_to_async(leases.snapshot_record)(environment, snapshot, owner=self.owner, **facts)

    async def forget_snapshot(self, environment: Environment, snapshot: Snapshot) -> None:
        await database_sync_to_async(leases.snapshot_forget)(environment, snapshot, owner=self.owner)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Run a provisioner in the server process for as long as the server runs."""
    provisioner, tasks = Provisioner(), TaskOwner()
    wake.provisioner.register(provisioner.wake)
    stopping.wakers.register(provisioner.stop)
    tasks.start(provisioner.run(), name="provisioner")
    try:
        yield
    finally:
        wake.provisioner.unregister(provisioner.wake)
        stopping.wakers.unregister(provisioner.stop)
        await tasks.aclose()
        await provisioner.aclose()
