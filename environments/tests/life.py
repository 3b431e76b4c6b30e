"""What tests of an environment's life do and look at, on a real local cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import changes, connections, services, snapshots
from environments.catalogue import sizes
from environments.lifecycle import Phase
from environments.models import Environment, Snapshot
from environments.ssh import Result
from environments.tests.conftest import Until

Create = Callable[..., Environment]


def is_running(row: Environment) -> bool:
    return row.phase == Phase.RUNNING


def is_gone(row: Environment) -> bool:
    return row.torn_down_at is not None


async def act(environment: Environment, action: str) -> None:
    await database_sync_to_async(services.environment_act)(
        environment_id=environment.pk, owner_id=environment.owner_id, action=action, actor_id=environment.owner_id
    )


async def change(environment: Environment, **columns: Any) -> None:
    await database_sync_to_async(Environment.objects.filter(pk=environment.pk).update)(**columns)


async def asked(cloud: LocalCloud, call: str, *arguments: Any) -> Any:
    return await asyncio.to_thread(getattr(cloud, call), *arguments)


async def assert_one_of_each(cloud: LocalCloud, row: Environment) -> None:
    droplets = await asked(cloud, "droplets", row.tag)
    volumes = await asked(cloud, "volumes", row.tag)
    assert [droplet["id"] for droplet in droplets] == [row.droplet_id]
    assert [(volume["id"], volume["droplet_ids"]) for volume in volumes] == [(row.volume_id, [row.droplet_id])]


async def assert_none_left(cloud: LocalCloud, row: Environment) -> None:
    assert await asked(cloud, "droplets", row.tag) == []
    assert await asked(cloud, "volumes", row.tag) == []


async def run_on(row: Environment, command: str) -> str:
    """What a command on the machine prints."""
    target = await database_sync_to_async(connections.target_for)(row)
    result: Result = await connections.pool.run(target, command, timeout_s=10)
    return result.stdout.strip()


async def resize(row: Environment, slug: str, *, disk: bool = False) -> None:
    def ask() -> None:
        size = next(size for size in sizes() if size.slug == slug)
        changes.environment_resize(
            environment_id=row.pk,
            owner_id=row.owner_id,
            actor_id=row.owner_id,
            size=slug,
            memory_mb=size.memory_mb,
            vcpus=size.vcpus,
            disk_gb=size.disk_gb,
            price_usd_per_hour=size.price_usd_per_hour,
            is_disk_resized=disk,
        )

    await database_sync_to_async(ask)()


def is_stopped(row: Environment) -> bool:
    return row.phase == Phase.STOPPED and row.next_step_at is None


async def running(pat: SignIn, create: Create, until: Until) -> Environment:
    return await until(await database_sync_to_async(create)(pat), is_running)


async def leave_marks(row: Environment) -> None:
    """A file at home, which is on the volume, and one on the machine's own disk."""
    await run_on(row, 'echo precious > ~/work; echo installed > "${DEVPOCKET_ROOT}/usr/local/mark"')


async def marks(row: Environment) -> list[str]:
    return (await run_on(row, 'cat ~/work; cat "${DEVPOCKET_ROOT}/usr/local/mark" 2>&1')).split("\n")


async def snapshot_of(row: Environment, until: Until, **wanted: Any) -> Snapshot:
    """Made, and available or failed."""
    made = await database_sync_to_async(snapshots.snapshot_create)(
        environment_id=row.pk, owner_id=row.owner_id, actor_id=row.owner_id, **wanted
    )

    def read() -> Snapshot:
        return Snapshot.objects.get(pk=made.pk)

    await until(row, lambda _: Snapshot.objects.get(pk=made.pk).status != Snapshot.Status.PENDING)
    return await database_sync_to_async(read)()
