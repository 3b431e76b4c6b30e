"""A home on the real server, and a phone in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.homes import VARIABLES, Home, numbers, settled
from terminals.tests.phone import Phone


@pytest.fixture(scope="module")
def home(server: Server, localcloud: LocalCloud) -> Home:
    """One environment for all tests that leave it as it was."""
    return asyncio.run(settled(server, environment_variables=VARIABLES))


@pytest.fixture
async def phone(server: Server, home: Home) -> AsyncIterator[Phone]:
    """In a session of its own, so that no test finds what another left running."""
    async with Phone.in_use(server, home.environment_id, home.token, f"session=s{next(numbers)}") as phone:
        yield phone
