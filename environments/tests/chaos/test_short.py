"""The short form of the kill test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from environments.tests.chaos.kill import run


@pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="a minute: it is for those who run several processes")
@pytest.mark.timeout(240)
def test_killed_servers_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = run(tmp_path, lives=4, at_once=4, pause_s=(0.5, 3.0), LEASE_SECONDS="6")
    assert outcome.kills > 0
    assert outcome.looks > 0
    assert outcome.is_good, str(outcome)
