"""A machine that answers metrics, and an environment on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from accounts.services import SignIn
from environments import connections, metrics
from environments.models import Environment
from environments.tests.homes import home_of, shell_in
from environments.tests.sshd import Machine, eventually


@pytest.fixture
async def machine(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Machine]:
    monkeypatch.setattr(metrics, "FIRST_INTERVAL_S", 0.05)
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = shell_in(tmp_path)
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    return home_of(ann.user, machine)
