"""The cloud as the server process calls it: what a refused token, a limit and an outage do to everybody else."""

from __future__ import annotations

import asyncio

import pytest
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.test import AsyncClient

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import cloudapi
from environments.budget import BudgetSpent
from environments.cloud import CloudRejected, CloudThrottled
from environments.lifecycle import Phase
from environments.tests.conftest import Until
from environments.tests.life import Create, is_running


async def test_ready_says_whether_the_cloud_takes_our_token(cloud: LocalCloud) -> None:
    assert await cloudapi.is_reachable()


@pytest.mark.django_db(transaction=True)
async def test_a_revoked_token_is_told_to_operators(cloud: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(cloud.misbehave, "status", status=401, method="GET", path="/v2/account$", count=5)
    answer = await AsyncClient().get("/api/v1/health/ready")
    assert (answer.status_code, answer.json()["checks"]["cloud_api"]) == (503, "failed")
    [told] = [record for record in caplog.records if "cloud_not_usable" in record.getMessage()]
    assert "DO_TOKEN" in told.getMessage()
    assert told.levelname == "ERROR"


async def test_a_revoked_token_is_not_tried_to_death(cloud: LocalCloud) -> None:
    """The first refusal holds everybody back: a thousand waiting rows make no thousand calls."""
    await asyncio.to_thread(cloud.misbehave, "status", status=401, path="/v2/volumes$", count=100)
    before = len(await asyncio.to_thread(cloud.requests_served))
    with pytest.raises(CloudRejected):
        await cloudapi.call(lambda client: client.volumes())
    for _ in range(20):
        with pytest.raises(BudgetSpent):
            await cloudapi.call(lambda client: client.volumes())
    assert len(await asyncio.to_thread(cloud.requests_served)) - before == 1


async def test_a_cloud_that_says_too_many_holds_everybody_back(cloud: LocalCloud) -> None:
    await asyncio.to_thread(cloud.misbehave, "status", status=429, path="/v2/volumes$")
    with pytest.raises(CloudThrottled) as refused:
        await cloudapi.call(lambda client: client.volumes())
    assert not isinstance(refused.value, BudgetSpent)
    assert cache.get("cloud-budget").held_until > 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("provisioning")
async def test_an_environment_waits_for_a_cloud_that_is_down_and_says_so(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    await asyncio.to_thread(cloud.misbehave, "status", status=503, path="/v2/(volumes|droplets)", count=0)
    row = await database_sync_to_async(create)(ann)
    waiting = await until(row, lambda now: now.failed_steps > 1)
    assert (waiting.phase, waiting.deadline_at) == (Phase.CREATING, None)
    assert "doesn't answer" in waiting.status_message
    await asyncio.to_thread(cloud.behave)
    await until(row, is_running)
