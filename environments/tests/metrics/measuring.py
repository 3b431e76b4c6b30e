"""What tests of metrics ask and look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from channels.db import database_sync_to_async
from django.test import AsyncClient
from django.utils import timezone

from accounts.services import SignIn
from devpocket.tasks import TaskOwner
from environments.models import Environment, MetricSample
from environments.readings import CPUTimes, Reading
from environments.sampler import Sampler
from environments.samples import Sample
from environments.tests.sshd import Process

Served = Callable[[Process], Awaitable[None]]


def counted(serve: Served) -> tuple[Served, list[str]]:
    """The same, and the commands that were run."""
    commands: list[str] = []

    async def counting(process: Process) -> None:
        commands.append(process.command or "")
        await serve(process)

    return counting, commands


def saying(text: str) -> Served:
    async def serve(process: Process) -> None:
        process.stdout.write(text.encode())
        process.exit(0)

    return serve


async def ask(signed_in: SignIn | None, environment_id: object, query: str = "", *, method: str = "get") -> Any:
    headers = {} if signed_in is None else {"authorization": f"Bearer {signed_in.tokens.access}"}
    path = f"/api/v1/environments/{environment_id}/metrics{query}"
    return await getattr(AsyncClient(), method)(path, headers=headers)


async def read(signed_in: SignIn, home: Environment, query: str = "") -> dict[str, Any]:
    answer = await ask(signed_in, home.pk, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def sample(at: datetime | None = None, *, cpu: float = 1.0, **reading: Any) -> Sample:
    return Sample(at or timezone.now(), cpu, Reading(**{"cpu": CPUTimes(1, 100), **reading}))


@database_sync_to_async
def row_of(home: Environment) -> Environment:
    return Environment.objects.get(pk=home.pk)


@database_sync_to_async
def samples_of(home: Environment) -> list[MetricSample]:
    return list(home.samples.all())


@database_sync_to_async
def change(home: Environment, **columns: Any) -> None:
    Environment.objects.filter(pk=home.pk).update(**columns)


@asynccontextmanager
async def sampling(*, period_s: float = 60.0, **options: Any) -> AsyncIterator[Sampler]:
    tasks = TaskOwner()
    sampler = Sampler(period_s=period_s, look_every_s=0.02, **options)
    tasks.start(sampler.run(), name="sampler")
    try:
        yield sampler
    finally:
        await tasks.aclose()
