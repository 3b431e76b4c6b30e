"""Rows as a backup has them, older than what is at the cloud: the machines that are there are found, none is made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from channels.db import database_sync_to_async

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments.lifecycle import Desired, Phase
from environments.localcloud.tests.conftest import eventually
from environments.models import Environment
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
    leave_marks,
    marks,
    running,
)

pytestmark = [pytest.mark.usefixtures("provisioning"), pytest.mark.django_db(transaction=True)]
GONE = 999_999_999  # no droplet has this id
HIBERNATED = {
    "phase": Phase.STOPPED,
    "desired_state": Desired.HIBERNATED,
    "droplet_id": None,
    "droplet_ip": None,
    "droplet_requested_at": None,
    "next_step_at": None,
}


async def notice(row: Environment) -> None:
    """The row's machine was replaced after the backup; a running server notices."""
    await change(row, droplet_id=GONE)


async def recover(row: Environment) -> None:
    """The same, of a row in error."""
    await change(row, droplet_id=GONE, phase=Phase.ERROR, error_code="droplet_missing", next_step_at=None)
    await act(row, "recover")


async def start(row: Environment) -> None:
    """The row was hibernated when the backup was made, and has come back since."""
    await change(row, **HIBERNATED)
    await act(row, "start")


@pytest.mark.parametrize("older", [notice, recover, start])
async def test_the_machine_that_is_there_is_taken_over(
    older: Callable[[Environment], Awaitable[None]], pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await leave_marks(row)
    served = len(await asked(cloud, "requests_served"))
    await older(row)
    again = await until(row, lambda now: is_running(now) and now.droplet_id == row.droplet_id)
    assert (again.droplet_ip, again.volume_id) == (row.droplet_ip, row.volume_id)
    await assert_one_of_each(cloud, again)
    assert await marks(again) == ["precious", "installed"]
    asked_since = [(one["method"], one["path"]) for one in (await asked(cloud, "requests_served"))[served:]]
    assert ("POST", "/v2/droplets") not in asked_since
    assert ("DELETE", f"/v2/droplets/{row.droplet_id}") not in asked_since


async def test_deleting_what_was_hibernated_then_takes_the_machine_that_runs_now(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await change(row, **HIBERNATED)
    await act(row, "delete")
    await assert_none_left(cloud, await until(row, is_gone))


async def test_a_machine_that_somebody_attached_the_volume_to_is_not_deleted(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    body = {"resources": [{"resource_id": str(row.droplet_id), "resource_type": "droplet"}]}
    await asyncio.to_thread(cloud.ask, "DELETE", f"/v2/tags/{row.tag}/resources", body)  # it is theirs, not ours
    await change(row, **HIBERNATED)
    served = len(await asked(cloud, "requests_served"))
    await act(row, "delete")

    async def looks_at_the_volume_again() -> bool:
        since = (await asked(cloud, "requests_served"))[served:]
        return [(one["method"], one["path"]) for one in since].count(("GET", "/v2/volumes")) >= 3

    await eventually(looks_at_the_volume_again, timeout_s=30)
    their = await asyncio.to_thread(cloud.ask, "GET", f"/v2/droplets/{row.droplet_id}")
    assert their["droplet"]["volume_ids"] == [row.volume_id]
    await asyncio.to_thread(cloud.ask, "DELETE", f"/v2/droplets/{row.droplet_id}")
    await assert_none_left(cloud, await until(row, is_gone))


async def test_what_was_deleted_after_the_backup_is_an_error_and_can_be_deleted_again(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    backup = await database_sync_to_async(Environment.objects.values().get)(pk=row.pk)
    await act(row, "delete")
    await until(row, is_gone)
    await change(
        row, **{name: value for name, value in backup.items() if name not in ("id", "lease_owner", "lease_until")}
    )
    lost = await until(row, lambda now: now.phase == Phase.ERROR)
    assert lost.error_code == "droplet_missing"
    await act(row, "recover")
    lost = await until(row, lambda now: now.phase == Phase.ERROR and now.error_code != "droplet_missing")
    assert lost.error_code == "volume_missing"
    await act(row, "delete")
    await assert_none_left(cloud, await until(row, is_gone))
