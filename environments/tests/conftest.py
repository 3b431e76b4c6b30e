"""A provisioner in the test's own event loop, on the real local cloud and the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from channels.db import database_sync_to_async

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import cloudapi, connections, droplet_watch, provisioner
from environments.api.serializers import CreateSerializer
from environments.creation import create_from_request
from environments.models import Environment
from templates_catalog.tests.catalogue import offer_templates

WAIT_S = 20


@pytest.fixture
def pat(sign_up: Callable[..., SignIn]) -> SignIn:
    """Somebody on a plan with several sizes."""
    return sign_up("pat", plan="pro", is_verified=True)


@pytest.fixture
def templates(db: None) -> None:
    offer_templates()


@pytest.fixture
def cloud(localcloud: LocalCloud, settings: Any) -> Iterator[LocalCloud]:
    """The local cloud, with this process's cloud client on it; well-behaved before and after."""
    settings.DO_API_URL = localcloud.client_url
    cloudapi.forget_clients()
    localcloud.behave()
    yield localcloud
    localcloud.behave()
    cloudapi.forget_clients()


@pytest.fixture
def create(cloud: LocalCloud, templates: None) -> Callable[..., Environment]:
    """create(sign_in, name="x", ...): an environment as the API would make it."""

    def make(signed_in: SignIn, name: str = "Work", **fields: Any) -> Environment:
        form = CreateSerializer(data={"name": name, "template_id": "ubuntu", **fields})
        form.is_valid(raise_exception=True)
        return create_from_request(signed_in.user, form.validated_data).environment

    return make


@pytest.fixture
async def provisioning(
    transactional_db: None, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """A provisioner at work for the time of the test, looking more often than a real cloud is asked."""
    monkeypatch.setattr(provisioner, "PACE", 0.1)
    monkeypatch.setattr(droplet_watch, "DRIFT_EVERY_S", 0.3)
    async with connections.lifespan(), provisioner.lifespan():
        yield


Until = Callable[..., Awaitable[Environment]]


@pytest.fixture
def until() -> Until:
    """await until(environment, lambda row: ...): the row, once the condition holds; it may query the database."""

    async def wait(environment: Environment, holds: Callable[[Environment], bool]) -> Environment:
        def look() -> tuple[Environment, bool]:
            row = Environment.objects.get(pk=environment.pk)
            return row, holds(row)

        row = environment
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    row, is_so = await database_sync_to_async(look)()
                    if is_so:
                        return row
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"still {row.phase} ({row.status_message}) {row.error_code} {row.error_message}")

    return wait
