"""Snapshots at the cloud: made once, restored, deleted, and never in the way of the rest."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import snapshots
from environments.lifecycle import Phase
from environments.models import Snapshot
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
    run_on,
    running,
    snapshot_of,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("provisioning")]


async def test_a_snapshot_is_made_restored_and_deleted(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    made = await snapshot_of(row, until, name="before")
    assert (made.status, made.size_gb is not None) == (Snapshot.Status.AVAILABLE, True)
    await run_on(row, 'echo broken > ~/work; echo broken > "${DEVPOCKET_ROOT}/usr/local/mark"')
    await database_sync_to_async(snapshots.snapshot_restore)(
        environment_id=row.pk, snapshot_id=made.pk, owner_id=row.owner_id, actor_id=row.owner_id
    )
    restored = await until(row, lambda now: is_running(now) and now.phase_changed_at > row.phase_changed_at)
    # The disk is as it was; the volume, which is the user's data, is as it is.
    assert await marks(restored) == ["broken", "installed"]
    assert restored.droplet_id == row.droplet_id
    await assert_one_of_each(cloud, restored)
    await database_sync_to_async(snapshots.snapshot_delete)(
        environment_id=row.pk, snapshot_id=made.pk, owner_id=row.owner_id, actor_id=row.owner_id
    )
    await until(row, lambda _: not Snapshot.objects.filter(pk=made.pk).exists())
    assert await asked(cloud, "snapshots", row.tag) == []


async def test_a_snapshot_that_the_cloud_cannot_make_says_so(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await asyncio.to_thread(cloud.misbehave, "action_error", method="POST", path="/actions$")
    failed = await snapshot_of(row, until)
    assert failed.status == Snapshot.Status.ERROR
    assert "could not be made" in failed.error_message
    assert is_running(await until(row, is_running))


async def test_deleting_while_a_snapshot_is_made_leaves_none(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await database_sync_to_async(snapshots.snapshot_create)(
        environment_id=row.pk, owner_id=row.owner_id, actor_id=row.owner_id
    )
    await until(row, lambda _: Snapshot.objects.get(environment=row).action_id is not None)
    await act(row, "delete")
    await assert_none_left(cloud, await until(row, is_gone))
    assert await asked(cloud, "snapshots", row.tag) == []


async def test_stopping_waits_for_a_snapshot_that_is_being_made(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await database_sync_to_async(snapshots.snapshot_create)(
        environment_id=row.pk, owner_id=row.owner_id, actor_id=row.owner_id
    )
    await until(row, lambda _: Snapshot.objects.get(environment=row).requested_at is not None)
    await act(row, "stop")
    stopped = await until(row, is_stopped)
    await until(row, lambda _: Snapshot.objects.get(environment=row).status == Snapshot.Status.AVAILABLE)
    made = await database_sync_to_async(Snapshot.objects.get)(environment=row)
    assert made.completed_at < stopped.phase_changed_at


async def test_a_snapshot_that_never_ends_is_given_up_and_takes_nobody_along(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await asyncio.to_thread(cloud.misbehave, "action_hang", method="POST", path="/actions$")
    made = await database_sync_to_async(snapshots.snapshot_create)(
        environment_id=row.pk, owner_id=row.owner_id, actor_id=row.owner_id
    )
    await until(row, lambda _: Snapshot.objects.get(pk=made.pk).action_id is not None)
    await act(row, "stop")
    past = timezone.now() - timedelta(seconds=1)
    await change(row, deadline_at=past)
    # The stop waits for the snapshot, and its own time begins afterwards.
    await until(row, lambda now: now.phase == Phase.STOPPING and now.deadline_at > timezone.now())
    await database_sync_to_async(Snapshot.objects.filter(pk=made.pk).update)(deadline_at=past)
    await until(row, lambda _: Snapshot.objects.get(pk=made.pk).status == Snapshot.Status.ERROR)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/poweroff")
    assert (await until(row, is_stopped)).error_code == ""
