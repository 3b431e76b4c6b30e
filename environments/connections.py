"""This process's SSH connections to droplets, and how to reach an environment's machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from accounts.selectors import get_platform_key
from environments.cloud_init import USER
from environments.models import Environment
from environments.ssh import SSHPool, Target

pool = SSHPool()


def target_for(environment: Environment) -> Target:
    """How to log in to the environment's machine. Sync: reads the owner's key. Raises: ValueError (no address)."""
    if not environment.droplet_ip:
        raise ValueError(f"environment {environment.pk} has no address")
    return Target(
        host=environment.droplet_ip,
        port=settings.DROPLET_SSH_PORT,
        username=USER,
        host_key=environment.host_public_key,
        client_key=get_platform_key(environment.owner_id).private_key,
    )


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    try:
        yield
    finally:
        await pool.aclose()
