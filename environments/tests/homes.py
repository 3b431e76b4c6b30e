"""A running environment without a cloud: its machine is an SSH server of the test's (sshd.py)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from accounts.models import PlatformKey, User
from environments.lifecycle import Desired, Phase
from environments.models import Environment
from environments.tests.sshd import Machine, Process
from templates_catalog.models import Template
from templates_catalog.tests.catalogue import offer_templates


def home_of(user: User, machine: Machine | None = None, **columns: Any) -> Environment:
    """A row in `running`, all set up. Sync."""
    if not Template.objects.exists():
        offer_templates()
    if machine is not None:
        PlatformKey.objects.filter(pk=user.pk).update(private_key=machine.client_key_text)
        columns = {"host_public_key": machine.host_key.export_public_key().decode(), **columns}
    fields: dict[str, Any] = {
        "owner": user,
        "template": Template.objects.get(pk="ubuntu"),
        "name": "Home",
        "slug": "home",
        "region": "nyc3",
        "size": "s-1vcpu-1gb",
        "image": "ubuntu-24-04-x64",
        "memory_mb": 1024,
        "vcpus": 1,
        "disk_gb": 25,
        "storage_size_gb": 10,
        "desired_state": Desired.RUNNING,
        "phase": Phase.RUNNING,
        "installation_completed": True,
        "droplet_ip": "127.0.0.1",
        "next_step_at": None,
        "host_public_key": "unused",
        "host_private_key": "unused",
    }
    return Environment.objects.create(**{**fields, **columns})


def shell_in(home: Path) -> Callable[[Process], Awaitable[None]]:
    """What a machine serves that runs every command in a real shell, with this home directory as its disk."""

    async def serve(process: Process) -> None:
        child = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", process.command or ""),
            env={"PATH": os.environ["PATH"], "HOME": str(home), "DEVPOCKET_ROOT": str(home)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        typing = asyncio.create_task(_type(process, child.stdin))
        try:
            process.stdout.write(await child.stdout.read())
            process.exit(await child.wait())
        finally:
            typing.cancel()

    return serve


async def _type(process: Process, stdin: asyncio.StreamWriter) -> None:
    """What comes from the client, until it says that there is no more."""
    while piece := await process.stdin.read(65536):
        stdin.write(piece)
        await stdin.drain()
    stdin.close()


async def run_once(root: Path, process: Process) -> None:
    """Run a command in a real shell with this disk. In a thread: the connection may break in the middle of it, and then
    nobody waits for a process of asyncio's.
    """
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/bash", "-c", process.command or ""],
        env={"PATH": os.environ["PATH"], "HOME": str(root), "DEVPOCKET_ROOT": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    process.stdout.write(done.stdout)
    process.exit(done.returncode)
