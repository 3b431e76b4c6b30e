"""A machine for the tests of a module, and a shell for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from devpocket.testing.server import Server
from terminals.tests.client.machine import Machine

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def machine(server: Server) -> Iterator[Machine]:
    username = f"connector{next(NUMBERS)}"
    token = server.sign_up(username)
    environment_id = server.create(token, "My Machine")
    server.wait_for(token, environment_id, "running")
    yield Machine(server, username, token, environment_id, "My Machine")
    server.ask("DELETE", f"/environments/{environment_id}", token=token)


@pytest.fixture
def shell(machine: Machine) -> str:
    """The option for a shell of the test's own."""
    return f"--session=shell-{next(NUMBERS)}"
