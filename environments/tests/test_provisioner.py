"""Bringing environments up and down on a real local cloud, whatever answers get lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import leases
from environments.lifecycle import Desired, Phase
from environments.models import Environment
from environments.tests.conftest import Until
from environments.tests.life import act, asked, assert_none_left, assert_one_of_each, change, is_gone, is_running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("provisioning")]

Create = Callable[..., Environment]


async def test_an_environment_comes_up_through_its_phases(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(ann), is_running)
    assert (row.progress, row.desired_state) == (100, Desired.RUNNING)
    await assert_one_of_each(cloud, row)
    row = await until(row, lambda now: now.installation_completed and now.next_step_at is None)
    events = row.events.exclude(kind="installation_completed")  # there is none where all was there from the first look
    phases = await database_sync_to_async(lambda: [event.phase for event in events])()
    assert phases == ["creating", "provisioning", "installing", "configuring", "running"]


@pytest.mark.parametrize("path", ["/v2/droplets$", "/v2/volumes$"])
async def test_a_lost_create_reply_does_not_create_twice(
    path: str, ann: SignIn, create: Create, cloud: LocalCloud, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("environments.steps.tools.ADOPT_WINDOW_S", 1)
    await asyncio.to_thread(cloud.misbehave, "lose_answer", method="POST", path=path)
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await assert_one_of_each(cloud, row)


async def test_doubled_droplets_are_reduced_to_one(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both answers lost, and the listing so late that the second create was right to be made."""
    monkeypatch.setattr("environments.steps.tools.ADOPT_WINDOW_S", 0)
    await asyncio.to_thread(cloud.misbehave, "lose_answer", method="POST", path="/v2/droplets$")
    await asyncio.to_thread(cloud.misbehave, "status", status=500, method="GET", path="/v2/droplets", count=2)
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await assert_one_of_each(cloud, row)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_cloud_in_trouble_only_delays(
    status: int, ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    await asyncio.to_thread(cloud.misbehave, "status", status=status, method="POST", count=2)
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await assert_one_of_each(cloud, row)


async def test_stop_and_start_keep_the_machine_and_its_files(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await act(row, "stop")
    stopped = await until(row, lambda now: now.phase == Phase.STOPPED)
    [droplet] = await asked(cloud, "droplets", row.tag)
    assert (stopped.desired_state, droplet["status"]) == (Desired.STOPPED, "off")
    await act(row, "start")
    again = await until(row, is_running)
    assert again.droplet_id == row.droplet_id
    await assert_one_of_each(cloud, again)


async def test_a_droplet_that_vanishes_is_told(ann: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/vanish")
    lost = await until(row, lambda now: now.phase == Phase.ERROR)
    assert (lost.error_code, lost.error_phase) == ("droplet_missing", Phase.RUNNING)
    await act(row, "delete")
    await assert_none_left(cloud, await until(row, is_gone))


async def test_a_machine_powered_off_outside_is_stopped(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/poweroff")
    stopped = await until(row, lambda now: now.phase == Phase.STOPPED)
    assert stopped.desired_state == Desired.STOPPED


async def test_a_phase_past_its_deadline_is_given_up(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    await asyncio.to_thread(cloud.misbehave, "never_active")
    row = await until(await database_sync_to_async(create)(ann), lambda now: now.droplet_id is not None)
    await change(row, deadline_at=timezone.now() - timedelta(seconds=1))
    late = await until(row, lambda now: now.phase == Phase.ERROR)
    assert (late.error_code, late.next_step_at) == ("provisioning_timeout", None)


@pytest.mark.parametrize(("away_from_s", "phase"), [(0.0, Phase.RUNNING), (60.0, Phase.ERROR)])
async def test_time_in_which_the_cloud_is_away_is_not_the_phases(
    ann: SignIn,
    create: Create,
    cloud: LocalCloud,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    away_from_s: float,
    phase: Phase,
) -> None:
    monkeypatch.setattr("environments.droplet_watch.AWAY_FROM_S", away_from_s)
    row = await until(await database_sync_to_async(create)(ann), is_running)
    await asyncio.to_thread(cloud.misbehave, "status", status=503, method="GET", path="/v2/droplets", count=3)
    await act(row, "restart")
    await change(row, deadline_at=timezone.now())
    row = await until(row, lambda now: now.phase in (Phase.RUNNING, Phase.ERROR))
    assert row.phase == phase
    await assert_one_of_each(cloud, row)


async def test_a_refused_create_says_why(ann: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    environment = await database_sync_to_async(create)(ann)
    await change(environment, image="no-such-image")
    row = await until(environment, lambda now: now.phase == Phase.ERROR)
    assert row.error_code == "cloud_error"
    assert "422" in row.error_message


async def test_a_revoked_token_keeps_the_row_waiting(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    await asyncio.to_thread(cloud.misbehave, "status", status=401, path="/v2/(volumes|droplets)", count=50)
    row = await until(await database_sync_to_async(create)(ann), lambda now: now.failed_steps > 0)
    assert row.phase == Phase.CREATING
    assert row.next_step_at is not None
    assert row.next_step_at > timezone.now() + timedelta(seconds=30)


async def test_a_held_row_is_left_alone_until_its_lease_ends(
    ann: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    held = timezone.now() + timedelta(seconds=1.5)
    environment = await database_sync_to_async(create)(ann)
    await change(environment, lease_owner="somebody-else", lease_until=held, volume_requested_at=None)
    row = await until(environment, is_running)
    assert row.phase_changed_at > held
    with pytest.raises(leases.LeaseLost):
        await database_sync_to_async(leases.facts_record)(row, owner="somebody-else", droplet_ip="127.0.0.1")
