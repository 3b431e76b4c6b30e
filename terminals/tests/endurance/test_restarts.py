"""The short form of the restart test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.endurance.restarts import run
from terminals.tests.homes import settled


@pytest.mark.timeout(120)
async def test_the_screen_after_a_restart_is_tmuxs(localcloud: LocalCloud, tmp_path: Path) -> None:
    """Once killed, once told to stop."""
    with Server.start(localcloud.client_url, tmp_path) as server:
        home = await settled(server)
        is_once = bool(os.environ["REDIS_URL"])  # else a killed server's numbers are gone with it
        outcome = await run(server, home, tmp_path, restarts=2, rng=random.Random(6), is_once=is_once)
        assert outcome.is_good, str(outcome)
        assert outcome.restarts == 2
        assert "Traceback" not in server.process.output()
