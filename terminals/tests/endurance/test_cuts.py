"""The short form of the resume test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from devpocket.testing.server import Server
from terminals.tests.endurance.cuts import run
from terminals.tests.homes import act, settled


@pytest.mark.timeout(120)
async def test_cut_connections_lose_and_double_nothing(server: Server, tmp_path: Path) -> None:
    """Of a user of its own: sockets of which the server isn't told that they were cut stay open for a while."""
    home = await settled(server)
    outcome = await run([server], home, tmp_path, cuts=12, lines=150, rng=random.Random(6))
    assert outcome.cuts >= 20
    assert outcome.is_good, str(outcome)
    assert "Traceback" not in server.process.output()
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")
