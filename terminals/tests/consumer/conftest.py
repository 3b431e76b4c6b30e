"""The real consumer on a machine of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.conf import settings

from accounts.models import PlatformKey
from accounts.services import SignIn
from devpocket.testing.layers import layer_aclose
from environments.models import Environment
from environments.ssh import SSHPool
from environments.tests.sshd import Machine, eventually
from templates_catalog.models import Template
from templates_catalog.tests.catalogue import offer_templates
from terminals import consumers, numbered, slots
from terminals.hub import Hub
from terminals.recorder import recorders_aclose
from terminals.tests.consumer.served import WAIT_S, Socket
from terminals.tests.test_hub import talk


@pytest.fixture(autouse=True)
def _columns_come_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A socket reads a part of its environment's columns. One more that it used would be a query of its own."""
    fetched: list[Any] = []
    refresh = Environment.refresh_from_db

    def noted(row: Environment, *arguments: Any, fields: Any = None, **options: Any) -> None:
        if fields is not None:
            fetched.append(fields)
        refresh(row, *arguments, fields=fields, **options)

    monkeypatch.setattr(Environment, "refresh_from_db", noted)
    yield
    assert fetched == []


@pytest.fixture
async def machine(settings: Any) -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        settings.DROPLET_SSH_PORT = running.port
        running.serve = talk
        yield running


async def is_reached(layer: Any, group: str, channel: str) -> bool:
    """Whether what is said to the group comes to the channel, whose owner no longer listens."""
    await layer.group_send(group, {"type": "probe"})
    await layer.send(channel, {"type": "end.of.probe"})
    kinds: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while "end.of.probe" not in kinds:
            kinds.append((await layer.receive(channel))["type"])
    return "probe" in kinds


@pytest.fixture
async def layer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The channel layer. Afterwards nobody may be left in a group that they have joined."""
    layer: Any = get_channel_layer()
    joined: set[tuple[str, str]] = set()
    join = layer.group_add

    async def group_add(group: str, channel: str) -> None:
        joined.add((group, channel))
        await join(group, channel)

    monkeypatch.setattr(layer, "group_add", group_add)
    try:
        yield layer
        for group, channel in joined:
            assert not await is_reached(layer, group, channel), group
    finally:
        await layer_aclose(layer)


@pytest.fixture
async def hub(machine: Machine, layer: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    """A hub of the test's own. Afterwards nothing may be left open on the machine: no channel, no connection."""
    pool = SSHPool(idle_close_s=0)
    hub = Hub(pool, resume_s=60)
    monkeypatch.setattr(consumers, "hub", hub)
    monkeypatch.setattr(numbered, "hub", hub)
    monkeypatch.setattr(consumers, "ATTACH_RETRY_S", 0.01)
    yield hub
    hub.close()
    await recorders_aclose()
    await eventually(lambda: machine.open_channels == 0 and machine.connections == [])
    await pool.aclose()


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    """Ann's running environment, whose machine is the test's."""
    offer_templates()
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
        installation_completed=True,
        droplet_ip="127.0.0.1",
        next_step_at=None,
        host_public_key=machine.host_key.export_public_key().decode(),
        host_private_key="unused",
    )


@pytest.fixture
def at(hub: Hub, home: Environment, ann: SignIn) -> Iterator[Callable[..., Any]]:
    """at(): Ann's socket, served. Afterwards none of her slots may still be taken."""

    def served(query: str = "", **options: Any) -> Any:
        where, token = options.pop("environment_id", home.pk), options.pop("token", ann.tokens.access)
        return Socket(where, token, query, **options).served()

    yield served
    everybody = range(settings.WS_CONNECTIONS_PER_USER)
    assert all(slots.slot_take(str(ann.user.pk), f"probe-{number}") for number in everybody)
