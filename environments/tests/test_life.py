"""The whole life of an environment on a real local cloud: nothing of the user's is lost on any of its ways."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from devpocket.errors import InvalidInput
from devpocket.testing.localcloud import LocalCloud
from environments import changes
from environments.lifecycle import Desired, Phase
from environments.tests.conftest import Until
from environments.tests.life import (
    Create,
    act,
    asked,
    assert_none_left,
    assert_one_of_each,
    change,
    is_gone,
    is_running,
    is_stopped,
    leave_marks,
    marks,
    resize,
    run_on,
    running,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("provisioning")]


# --- Restart


async def test_restart_boots_the_same_machine_anew(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    await act(row, "restart")
    again = await until(row, lambda now: is_running(now) and now.phase_changed_at > row.phase_changed_at)
    assert again.droplet_id == row.droplet_id
    kinds = [action["type"] for action in await asked(cloud, "actions", row.droplet_id)]
    assert kinds == ["reboot", "create"]
    assert await marks(again) == ["precious", "installed"]


async def test_a_reboot_that_fails_is_followed_by_a_power_cycle(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await asyncio.to_thread(cloud.misbehave, "action_error", method="POST", path="/actions$", count=3)
    await act(row, "restart")
    await until(row, lambda now: is_running(now) and now.phase_changed_at > row.phase_changed_at)
    kinds = [action["type"] for action in await asked(cloud, "actions", row.droplet_id)]
    assert kinds == ["power_cycle", "reboot", "reboot", "reboot", "create"]


async def test_restart_of_a_stopped_machine_switches_it_on(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await act(row, "stop")
    await until(row, is_stopped)
    await act(row, "restart")
    assert (await until(row, is_running)).droplet_id == row.droplet_id


# --- Hibernation


async def test_hibernation_keeps_data_name_and_host_key_and_costs_less(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    await act(row, "hibernate")
    asleep = await until(row, is_stopped)
    assert (asleep.desired_state, asleep.droplet_id, asleep.droplet_ip) == (Desired.HIBERNATED, None, None)
    assert await asked(cloud, "droplets", row.tag) == []
    assert [volume["droplet_ids"] for volume in await asked(cloud, "volumes", row.tag)] == [[]]
    assert 0 < asleep.billing_usd_per_hour < row.billing_usd_per_hour
    await act(row, "start")
    awake = await until(row, lambda now: is_running(now) and now.next_step_at is None)
    assert awake.droplet_id != row.droplet_id
    assert (awake.slug, awake.host_public_key) == (row.slug, row.host_public_key)
    assert await marks(awake) == ["precious", "installed"]
    await assert_one_of_each(cloud, awake)
    assert await asked(cloud, "snapshots", row.tag) == []  # it would cost money and is of no more use
    assert awake.billing_usd_per_hour == pytest.approx(row.billing_usd_per_hour)


async def test_a_stopped_machine_can_be_hibernated_and_deleted_in_its_sleep(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await act(row, "stop")
    await until(row, is_stopped)
    await act(row, "hibernate")
    await until(row, is_stopped)
    await act(row, "delete")
    gone = await until(row, is_gone)
    await assert_none_left(cloud, gone)
    assert await asked(cloud, "snapshots", row.tag) == []


async def test_without_a_copy_of_its_disk_no_machine_is_destroyed(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    await act(row, "stop")
    await until(row, is_stopped)
    await asyncio.to_thread(cloud.misbehave, "action_error", method="POST", path="/actions$")
    await act(row, "hibernate")
    failed = await until(row, lambda now: now.phase == Phase.ERROR)
    assert failed.error_code == "snapshot_failed"
    await act(row, "recover")
    back = await until(row, is_running)
    assert back.droplet_id == row.droplet_id
    assert await marks(back) == ["precious", "installed"]


async def test_a_lost_answer_makes_no_second_copy(pat: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    row = await running(pat, create, until)
    await act(row, "stop")
    await until(row, is_stopped)
    await asyncio.to_thread(cloud.misbehave, "lose_answer", method="POST", path="/actions$")
    await act(row, "hibernate")
    await until(row, is_stopped)
    assert len(await asked(cloud, "snapshots", row.tag)) == 1


# --- Size


@pytest.mark.parametrize("was_running", [True, False])
@pytest.mark.parametrize("disk", [False, True])
async def test_resize_leads_back_to_where_it_was(
    was_running: bool, disk: bool, pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    if not was_running:
        await act(row, "stop")
        await until(row, is_stopped)
    await resize(row, "s-1vcpu-1gb", disk=disk)
    back = await until(row, is_running if was_running else is_stopped)
    [droplet] = await asked(cloud, "droplets", row.tag)
    assert (droplet["id"], droplet["size_slug"]) == (row.droplet_id, "s-1vcpu-1gb")
    assert droplet["status"] == ("active" if was_running else "off")
    assert (back.size, back.memory_mb, back.disk_gb) == ("s-1vcpu-1gb", 1024, 25 if disk else 10)
    assert back.billing_usd_per_hour > row.billing_usd_per_hour
    if was_running:
        assert await marks(back) == ["precious", "installed"]


async def test_a_resize_that_the_cloud_cannot_do_is_told_and_can_be_recovered(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await act(row, "stop")
    await until(row, is_stopped)
    await asyncio.to_thread(cloud.misbehave, "action_error", method="POST", path="/actions$", count=3)
    await resize(row, "s-1vcpu-1gb")
    failed = await until(row, lambda now: now.phase == Phase.ERROR)
    assert (failed.error_code, failed.size) == ("resize_failed", row.size)
    await act(row, "recover")
    back = await until(row, is_running)
    assert (back.droplet_id, back.size) == (row.droplet_id, row.size)


async def test_a_machine_made_anew_has_the_whole_disk_of_its_size(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    """The row has to know: a disk never shrinks, and a size with a smaller one would be refused by the cloud."""
    row = await running(pat, create, until)
    await resize(row, "s-1vcpu-1gb")
    assert (await until(row, lambda now: is_running(now) and now.size == "s-1vcpu-1gb")).disk_gb == 10
    await act(row, "hibernate")
    await until(row, is_stopped)
    await act(row, "start")
    assert (await until(row, is_running)).disk_gb == 25
    with pytest.raises(InvalidInput):
        await resize(row, "s-1vcpu-512mb-10gb")


async def test_a_hibernated_machine_comes_back_in_its_new_size(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await act(row, "hibernate")
    await until(row, is_stopped)
    await resize(row, "s-1vcpu-1gb")
    await until(row, lambda now: is_stopped(now) and now.size == "s-1vcpu-1gb")
    await act(row, "start")
    await until(row, is_running)
    [droplet] = await asked(cloud, "droplets", row.tag)
    assert droplet["size_slug"] == "s-1vcpu-1gb"


# --- The volume, and the variables


@pytest.mark.parametrize("was_running", [True, False])
async def test_the_volume_grows_and_then_the_file_system(
    was_running: bool, pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    if not was_running:
        await act(row, "stop")
        await until(row, is_stopped)
    await database_sync_to_async(changes.environment_update)(
        environment_id=row.pk, owner_id=row.owner_id, storage_size_gb=20
    )
    await until(row, lambda now: now.volume_size_gb == 20)
    assert [volume["size_gigabytes"] for volume in await asked(cloud, "volumes", row.tag)] == [20]
    if not was_running:
        await act(row, "start")
    await until(row, lambda now: now.filesystem_size_gb == 20)


async def test_a_volume_that_cannot_grow_stays_and_says_so(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await asyncio.to_thread(cloud.misbehave, "status", status=422, method="POST", path="/v2/volumes/.*/actions$")
    await database_sync_to_async(changes.environment_update)(
        environment_id=row.pk, owner_id=row.owner_id, storage_size_gb=20
    )
    same = await until(row, lambda now: now.events.filter(kind="volume_not_grown").exists())
    assert is_running(same)
    assert same.storage_size_gb == 10


async def test_changed_variables_reach_new_shells(pat: SignIn, create: Create, cloud: LocalCloud, until: Until) -> None:
    row = await running(pat, create, until)
    tricky = 'it\'s "quoted" $HOME `id` \\ and\nmore: - &x'
    await database_sync_to_async(changes.environment_update)(
        environment_id=row.pk, owner_id=row.owner_id, merge={"TRICKY": tricky}
    )
    await until(row, lambda now: now.variables_told_at == now.variables_changed_at is not None)
    shown = await run_on(row, '. "${DEVPOCKET_ROOT}/etc/devpocket/environment.sh"; printf %s "$TRICKY"')
    assert shown == tricky


async def test_variables_that_the_cloud_has_no_room_for_reach_the_machine_all_the_same(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    """User-data is 64 KiB at most; the contract allows 100 values of 4096 characters."""
    variables = {f"LARGE_{number}": "x" * 4000 + str(number) for number in range(100)}
    row = await until(await database_sync_to_async(create)(pat, environment_variables=variables), is_running)
    last_two = '. "${DEVPOCKET_ROOT}/etc/devpocket/environment.sh"; printf %s "$LARGE_42" | tail -c 2'
    assert await run_on(row, last_two) == "42"
    await act(row, "hibernate")
    await until(row, is_stopped)
    await act(row, "start")
    assert await run_on(await until(row, is_running), last_two) == "42"


# --- Recovering


async def test_recover_goes_on_with_a_machine_that_is_well(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    await change(row, phase=Phase.ERROR, error_code="starting_timeout", next_step_at=None)
    await act(row, "recover")
    back = await until(row, is_running)
    assert back.droplet_id == row.droplet_id
    assert await marks(back) == ["precious", "installed"]


async def test_recover_replaces_a_machine_that_is_gone_and_keeps_the_volume(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/vanish")
    await until(row, lambda now: now.phase == Phase.ERROR)
    await act(row, "recover")
    back = await until(row, is_running)
    assert (back.volume_id, back.droplet_id != row.droplet_id) == (row.volume_id, True)
    assert (await marks(back))[0] == "precious"
    await assert_one_of_each(cloud, back)


async def test_recover_replaces_a_machine_that_never_came_up(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    await asyncio.to_thread(cloud.misbehave, "never_active", method="POST", path="/v2/droplets$")
    row = await until(await database_sync_to_async(create)(pat), lambda now: now.droplet_id is not None)
    await change(row, deadline_at=timezone.now() - timedelta(seconds=1), next_step_at=timezone.now())
    await until(row, lambda now: now.phase == Phase.ERROR)
    await act(row, "recover")
    back = await until(row, is_running)
    assert back.droplet_id != row.droplet_id
    await assert_one_of_each(cloud, back)


async def test_a_lost_volume_is_told_and_never_replaced_by_an_empty_one(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/vanish")
    await until(row, lambda now: now.phase == Phase.ERROR)
    await until(row, lambda _: cloud.volumes(row.tag)[0]["droplet_ids"] == [])
    await asyncio.to_thread(cloud.ask, "DELETE", f"/v2/volumes/{row.volume_id}")
    await act(row, "recover")
    lost = await until(row, lambda now: now.phase == Phase.ERROR)
    assert lost.error_code == "volume_missing"
