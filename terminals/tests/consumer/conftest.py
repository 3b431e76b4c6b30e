"""The real consumer on a machine of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer

from accounts.models import PlatformKey
from accounts.services import SignIn
from environments.models import Environment
from environments.ssh import SSHPool
from environments.tests.sshd import Machine, eventually
from templates_catalog.importer import import_templates
from templates_catalog.models import Template
from terminals import consumers
from terminals.hub import Hub
from terminals.tests.consumer.served import Socket
from terminals.tests.test_hub import talk


@pytest.fixture
async def machine(settings: Any) -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = talk
        yield running


@pytest.fixture
async def hub(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    """A hub of the test's own. Afterwards nothing may be left open: no channel, connection, group or slot."""
    pool = SSHPool(idle_close_s=0)
    hub = Hub(pool, resume_s=60)
    monkeypatch.setattr(consumers, "hub", hub)
    monkeypatch.setattr(consumers, "ATTACH_RETRY_S", 0.01)
    yield hub
    hub.close()
    await eventually(lambda: machine.open_channels == 0 and machine.connections == [])
    layer: Any = get_channel_layer()
    assert layer.groups == {}
    await pool.aclose()


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    """Ann's running environment, whose machine is the test's."""
    import_templates()
    PlatformKey.objects.filter(pk=ann.user.pk).update(private_key=machine.client_key_text)
    return Environment.objects.create(
        owner=ann.user,
        template=Template.objects.get(pk="ubuntu"),
        name="Home",
        slug="home",
        region="nyc3",
        size="s",
        image="i",
        memory_mb=1,
        vcpus=1,
        disk_gb=1,
        storage_size_gb=1,
        phase="running",
        droplet_ip="127.0.0.1",
        next_step_at=None,
        host_public_key=machine.host_key.export_public_key().decode(),
        host_private_key="unused",
    )


@pytest.fixture
def at(hub: Hub, home: Environment, ann: SignIn) -> Callable[..., Any]:
    """at(): Ann's socket, served."""
    return lambda query="", **options: Socket(home.pk, ann.tokens.access, query, **options).served()
