"""The logs' WebSocket: the real consumer on the real database and channel layer, on a machine with a real shell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.services import SignIn
from environments import connections, log_follower
from environments.log_follower import LogFollowers
from environments.models import Environment
from environments.tests.homes import run_once
from environments.tests.sshd import Machine, eventually
from terminals import log_consumer, slots
from terminals.tests.consumer.logs.watching import INSTALLED, LogsSocket, write


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    for name, text in INSTALLED:
        write(tmp_path / name, text)
    return tmp_path


@pytest.fixture
async def box(machine: Machine, disk: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """The machine; afterwards nobody reads it any more."""
    followers = LogFollowers()
    monkeypatch.setattr(log_consumer, "followers", followers)
    for name, value in (("BUSY_EVERY_S", 0.02), ("READ_EVERY_S", 0.02), ("BACK_OFF_S", (0.02,))):
        monkeypatch.setattr(log_follower, name, value)
    machine.serve = partial(run_once, disk)
    async with connections.lifespan():
        yield machine
        assert len(followers) == 0
        await eventually(lambda: machine.open_channels == 0)


@pytest.fixture
def at(box: Machine, layer: Any, home: Environment, ann: SignIn) -> Iterator[Callable[..., Any]]:
    """at(): Ann's socket, served. Afterwards none of her slots may still be taken."""
    yield lambda query="", **options: LogsSocket(home, ann.tokens.access, query, **options).served()
    everybody = range(django_settings.WS_CONNECTIONS_PER_USER)
    assert all(slots.slot_take(str(ann.user.pk), f"probe-{number}") for number in everybody)
