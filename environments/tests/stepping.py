"""One step of the provisioner on a row whose machine is the test's own (sshd.py), without a cloud."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from channels.db import database_sync_to_async
from django.utils import timezone

from environments import connections, steps
from environments.cloud_init import APPLY_COMMAND, PROGRESS_FILE
from environments.models import Environment
from environments.provisioner import StepTools
from environments.set_up import steps as set_up
from environments.tests.homes import shell_in
from environments.tests.sshd import Machine

OWNER = "the-test"
Step = Callable[[Environment, StepTools], Any]


class Disk:
    """A machine's disk, as its set-up leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        apply = self.at(APPLY_COMMAND)
        apply.parent.mkdir(parents=True)
        shutil.copy(set_up.SCRIPTS / "devpocket-apply.sh", apply)
        apply.chmod(0o755)
        self.at(PROGRESS_FILE).parent.mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def tells(self, *lines: str) -> None:
        """Add to its progress, with the time as it is."""
        with self.at(PROGRESS_FILE).open("a") as file:
            file.writelines(f"{timezone.now():%Y-%m-%dT%H:%M:%SZ} {line}\n" for line in lines)


@asynccontextmanager
async def machine_with(disk: Disk, settings: Any) -> AsyncIterator[Machine]:
    async with Machine.start() as machine:
        machine.serve = shell_in(disk.root)
        settings.DROPLET_SSH_PORT = machine.port
        async with connections.lifespan():
            yield machine


async def look(home: Environment, do: Step = steps.step) -> tuple[Environment, steps.NextLook]:
    """Do one step on it as it is now; the row afterwards, and when to look again."""

    def take() -> Environment:
        lease = {"lease_owner": OWNER, "lease_until": timezone.now() + timedelta(seconds=30)}
        Environment.objects.filter(pk=home.pk).update(**lease)
        return Environment.objects.select_related("owner", "template").get(pk=home.pk)

    next_look = await do(await database_sync_to_async(take)(), StepTools(OWNER, None))
    return await database_sync_to_async(Environment.objects.get)(pk=home.pk), next_look


async def kinds(home: Environment) -> list[str]:
    """Of what has happened to it."""
    return await database_sync_to_async(lambda: [event.kind for event in home.events.all()])()
