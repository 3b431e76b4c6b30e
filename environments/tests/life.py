"""What tests of an environment's life do and look at, on a real local cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async

from devpocket.testing.localcloud import LocalCloud
from environments import changes, connections, services
from environments.catalogue import sizes
from environments.lifecycle import Phase
from environments.models import Environment
from environments.ssh import Result

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
