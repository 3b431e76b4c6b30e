"""The service that looks for idle machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from environments import idle
from environments.errors import InvalidState
from environments.idle import IdleWatch
from environments.lifecycle import Phase
from environments.models import Environment, MetricSample
from environments.services import environment_act
from environments.tests.conftest import Until


@pytest.mark.django_db(transaction=True)
async def test_one_process_at_a_time_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def look(self: IdleWatch) -> None:
        looks.append(self)

    monkeypatch.setattr(IdleWatch, "look", look)
    watches = [IdleWatch(look_every_s=600) for _ in range(5)]
    tasks = [asyncio.create_task(watch.run()) for watch in watches]
    async with asyncio.timeout(5):
        while not looks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for watch in watches:
            assert not await database_sync_to_async(watch._is_my_turn)()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(looks) == 1


@pytest.mark.django_db(transaction=True)
async def test_trouble_with_one_machine_holds_up_no_other(
    ann: SignIn, limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = []

    def settle(environment_id: object, **options: Any) -> None:
        settled.append(environment_id)
        raise InvalidState("no")

    monkeypatch.setattr(idle, "idle_settle", settle)
    monkeypatch.setattr(idle, "idle_candidates", lambda now: [1, 2])
    await IdleWatch().look()
    assert settled == [1, 2]


async def test_where_no_plan_has_a_limit_nobody_looks() -> None:
    before = asyncio.all_tasks()
    async with idle.lifespan():
        assert asyncio.all_tasks() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("provisioning", "limited")
async def test_an_idle_machine_is_really_stopped_and_starts_again(
    ann: SignIn, create: Callable[..., Environment], until: Until
) -> None:
    row = await until(
        await database_sync_to_async(create)(ann),
        lambda row: row.phase == Phase.RUNNING and row.installation_completed,
    )
    ahead = timedelta(0)
    watch = IdleWatch(look_every_s=0.01, clock=lambda: timezone.now() + ahead)
    await watch.look()
    assert (await until(row, lambda row: True)).idle_warned_at is None
    ahead = timedelta(minutes=50, seconds=1)
    await watch.look()
    await until(row, lambda row: row.idle_warned_at is not None)
    ahead = timedelta(minutes=60, seconds=2)
    await database_sync_to_async(MetricSample.objects.create)(environment=row, at=timezone.now() + ahead)
    await watch.look()
    stopped = await until(row, lambda row: row.phase == Phase.STOPPED)
    assert stopped.last_stop_reason == "idle"
    await database_sync_to_async(environment_act)(
        environment_id=row.pk, owner_id=row.owner_id, action="start", actor_id=row.owner_id
    )
    await until(row, lambda row: row.phase == Phase.RUNNING)
