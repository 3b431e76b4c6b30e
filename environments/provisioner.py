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

from devpocket.tasks import TaskOwner
from environments import cloudapi, connections, leases, wake
from environments.cloud import CloudClient, CloudError, CloudNotFound, CloudRejected, CloudThrottled, Droplet
from environments.leases import LEASE_S, LeaseLost
from environments.lifecycle import Desired, Phase
from environments.models import Environment
from environments.ssh import Result
from environments.steps import NEEDS_VIEW, SHARED_TAG, CloudView, NextLook, step

T = TypeVar("T")
log = structlog.get_logger(__name__)

PARALLEL_STEPS = 32
STEP_LIMIT_S = LEASE_S - 5  # a step ends before its lease does
IDLE_LOOK_S = 2.0  # how soon rows changed by another process are noticed
LOOK_AT_MOST_EVERY_S = 0.1
BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
TOKEN_REFUSED_S = 60.0  # an operator has to act: nothing is gained by asking sooner


def backoff_s(failures: int) -> float:
    """Doubling from 1 s to 60 s, halved at most by chance, so that rows that failed together don't return together."""
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0))  # noqa: S311


class Provisioner:
    """The loop and the tools of its steps. `owner` names this process in leases."""

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.view: CloudView | None = None
        self._tasks = TaskOwner()
        self._busy: set[uuid.UUID] = set()
        self._wake = asyncio.Event()
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

    async def aclose(self) -> None:
        """End the steps under way; each gives its row back."""
        await self._tasks.aclose()

    async def _look(self) -> float:
        """Begin a step for every row that is due; seconds until the next look."""
        room = PARALLEL_STEPS - len(self._busy)
        if room <= 0:
            return IDLE_LOOK_S  # a step that ends wakes the loop
        due = [
            row
            for row in await database_sync_to_async(leases.rows_due)(limit=PARALLEL_STEPS)
            if row.pk not in self._busy
        ]
        if any(_needs_view(row) for row in due):
            await self._refresh_view()
        for row in due[:room]:
            self._busy.add(row.pk)
            self._tasks.start(self._work(row.pk), name=f"step-{row.pk}")
        next_due = await database_sync_to_async(leases.next_due_at)(besides=self._busy)
        if next_due is None:
            return IDLE_LOOK_S
        until_due_s = (next_due - timezone.now()).total_seconds()
        return max(LOOK_AT_MOST_EVERY_S, min(IDLE_LOOK_S, until_due_s))

    async def _refresh_view(self) -> None:
        """One listing answers for all waiting rows, at most every CLOUD_POLL_SECONDS."""
        now = timezone.now()
        if self.view is not None and (now - self.view.taken_at).total_seconds() < settings.CLOUD_POLL_SECONDS:
            return
        try:
            droplets = await self.cloud(lambda cloud: cloud.droplets_by_tag(SHARED_TAG))
        except CloudError as error:
            log.warning("cloud_listing_failed", error=str(error), cloud_request_id=error.request_id)
            return
        by_tag: dict[str, list[Droplet]] = {}
        for droplet in droplets:
            for tag in droplet.tags:
                by_tag.setdefault(tag, []).append(droplet)
        self.view = CloudView(now, by_tag)

    async def _work(self, environment_id: uuid.UUID) -> None:
        """Hold one row for one step."""
        try:
            environment = await database_sync_to_async(leases.lease_take)(environment_id, owner=self.owner)
            if environment is None:
                return
            next_look: NextLook = IDLE_LOOK_S  # also where the process is told to end in the middle
            failures = 0
            try:
                next_look, failures = await self._step(environment)
            finally:
                await database_sync_to_async(leases.lease_release)(
                    environment, owner=self.owner, next_step_s=next_look, failed_steps=failures
                )
        finally:
            self._busy.discard(environment_id)
            self._wake.set()

    async def _step(self, environment: Environment) -> tuple[NextLook, int]:
        """One step; when to look again, and how many have failed in a row."""
        bound = log.bind(environment=str(environment.pk), phase=environment.phase)
        failures = environment.failed_steps + 1
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                return await step(environment, self), 0
        except LeaseLost:
            bound.info("step_overtaken")
            return 0.0, 0
        except CloudThrottled as error:
            bound.warning("cloud_throttled", retry_after_s=error.retry_after_s)
            return error.retry_after_s * random.uniform(1.0, 1.3), environment.failed_steps  # noqa: S311
        except (CloudRejected, CloudNotFound) as error:
            return await self._refused(environment, error, failures)
        except CloudError as error:
            bound.warning("cloud_unreachable", error=str(error), failures=failures)
            await self._say_waiting(environment)
            return backoff_s(failures), failures
        except TimeoutError:
            bound.warning("step_timed_out", limit_s=STEP_LIMIT_S, failures=failures)
            return backoff_s(failures), failures
        except Exception:  # noqa: BLE001 -- a bug in a step must not stop the others, nor this row for good
            bound.exception("step_failed", failures=failures)
            return backoff_s(failures), failures

    async def _refused(
        self, environment: Environment, error: CloudRejected | CloudNotFound, failures: int
    ) -> tuple[NextLook, int]:
        """The cloud said no. Deletion goes on trying; anything else ends in `error`, for its user to see."""
        log.error("cloud_refused", environment=str(environment.pk), error=str(error), cloud_request_id=error.request_id)
        if isinstance(error, CloudRejected) and error.is_about_token:
            await self._say_waiting(environment)
            return TOKEN_REFUSED_S, failures
        if environment.desired_state == Desired.DELETED:
            return backoff_s(failures), failures
        try:
            await database_sync_to_async(leases.error_record)(
                environment,
                owner=self.owner,
                code="cloud_error",
                message=f"The cloud refused a step: {str(error).partition(': ')[2] or error}",
                cloud_request_id=error.request_id,
            )
        except LeaseLost:
            return 0.0, 0
        return None, 0

    async def _say_waiting(self, environment: Environment) -> None:
        if environment.desired_state != Desired.DELETED:
            try:
                await self.record_progress(
                    environment, environment.progress, "The cloud doesn't answer right now; we keep trying"
                )
            except LeaseLost:
                log.info("step_overtaken", environment=str(environment.pk))

    # --- Tools of the steps

    async def cloud(self, work: Callable[[CloudClient], T]) -> T:
        return await cloudapi.call(work)

    async def read(self, work: Callable[[], T]) -> T:
        return await database_sync_to_async(work)()

    async def ssh(self, environment: Environment, command: str, *, timeout_s: float) -> Result:
        target = await database_sync_to_async(connections.target_for)(environment)
        return await connections.pool.run(target, command, timeout_s=timeout_s)

    async def record_facts(self, environment: Environment, **facts: Any) -> None:
        await database_sync_to_async(leases.facts_record)(environment, owner=self.owner, **facts)

    async def record_progress(self, environment: Environment, progress: int, message: str) -> None:
        await database_sync_to_async(leases.progress_record)(
            environment, owner=self.owner, progress=progress, message=message
        )

    async def record_phase(self, environment: Environment, phase: Phase, message: str = "", **facts: Any) -> None:
        await database_sync_to_async(leases.phase_record)(
            environment, phase, owner=self.owner, message=message, **facts
        )
        log.info("phase_changed", environment=str(environment.pk), phase=str(phase))

    async def record_error(self, environment: Environment, code: str, message: str) -> None:
        log.warning("environment_error", environment=str(environment.pk), error_code=code)
        await database_sync_to_async(leases.error_record)(environment, owner=self.owner, code=code, message=message)


def _needs_view(row: Environment) -> bool:
    return row.desired_state != Desired.DELETED and row.phase in NEEDS_VIEW


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Run a provisioner in the server process for as long as the server runs."""
    provisioner, tasks = Provisioner(), TaskOwner()
    wake.provisioner.register(provisioner.wake)
    tasks.start(provisioner.run(), name="provisioner")
    try:
        yield
    finally:
        wake.provisioner.unregister(provisioner.wake)
        await tasks.aclose()
        await provisioner.aclose()
