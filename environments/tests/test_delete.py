"""Deleting, at any moment of an environment's life: nothing is left at the cloud, whatever it does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import snapshots
from environments.lifecycle import Desired, Phase
from environments.models import Environment, Snapshot
from environments.tests.conftest import Until
from environments.tests.life import Create, act, asked, assert_none_left, change, is_gone, is_running, resize

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("provisioning")]


async def assert_gone(cloud: LocalCloud, row: Environment) -> None:
    assert (row.phase, row.desired_state) == (Phase.TERMINATED, Desired.DELETED)
    assert (row.droplet_id, row.volume_id, row.billing_usd_per_hour) == (None, None, 0)
    await assert_none_left(cloud, row)
    assert await asked(cloud, "snapshots", row.tag) == []


@pytest.mark.parametrize(
    "phase", [Phase.CREATING, Phase.PROVISIONING, Phase.INSTALLING, Phase.CONFIGURING, Phase.RUNNING]
)
async def test_while_it_comes_up(phase: Phase, pat: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    row = await database_sync_to_async(create)(pat)
    order = list(Phase)
    await until(row, lambda now: order.index(Phase(now.phase)) >= order.index(phase))
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


@pytest.mark.parametrize("action", ["stop", "restart", "hibernate", "resize", "snapshot"])
async def test_in_the_middle_of_an_action(
    action: str, pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(pat), is_running)
    if action == "resize":
        await resize(row, "s-1vcpu-1gb")
    elif action == "snapshot":
        await database_sync_to_async(snapshots.snapshot_create)(
            environment_id=row.pk, owner_id=row.owner_id, actor_id=row.owner_id
        )
        await until(row, lambda _: Snapshot.objects.get(environment=row).requested_at is not None)
    else:
        await act(row, action)
        await until(row, lambda now: now.action_requested_at is not None or now.phase in (Phase.STOPPED, Phase.RUNNING))
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


@pytest.mark.parametrize("rest", ["stop", "hibernate"])
@pytest.mark.parametrize("starts", [False, True])
async def test_at_rest_and_on_the_way_back(
    rest: str, starts: bool, pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(pat), is_running)
    await act(row, rest)
    await until(row, lambda now: now.phase == Phase.STOPPED)
    if starts:
        await act(row, "start")
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


async def test_in_error(pat: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    await asyncio.to_thread(cloud.misbehave, "never_active", method="POST", path="/v2/droplets$")
    row = await until(await database_sync_to_async(create)(pat), lambda now: now.droplet_id is not None)
    await change(row, deadline_at=timezone.now() - timedelta(seconds=1), next_step_at=timezone.now())
    await until(row, lambda now: now.phase == Phase.ERROR)
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


@pytest.mark.parametrize("path", ["/v2/droplets$", "/v2/volumes$"])
async def test_while_a_create_has_no_answer(
    path: str, pat: SignIn, create: Create, cloud: LocalCloud, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row doesn't know yet whether anything was made."""
    monkeypatch.setattr("environments.steps.tools.ADOPT_WINDOW_S", 1)
    await asyncio.to_thread(cloud.misbehave, "lose_answer", method="POST", path=path)
    requested = "droplet_requested_at" if "droplets" in path else "volume_requested_at"
    row = await until(await database_sync_to_async(create)(pat), lambda now: getattr(now, requested) is not None)
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


async def test_delete_goes_on_until_the_cloud_confirms(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(pat), is_running)
    await asyncio.to_thread(cloud.misbehave, "status", status=503, method="DELETE", count=4)
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))


async def test_goes_on_while_another_event_is_pending(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    """Observed at the real cloud: a droplet with an action under way may refuse to be deleted (FACTS, Actions)."""
    row = await until(await database_sync_to_async(create)(pat), is_running)
    await asyncio.to_thread(cloud.misbehave, "status", status=422, method="DELETE", count=2)
    await act(row, "delete")
    await assert_gone(cloud, await until(row, is_gone))
