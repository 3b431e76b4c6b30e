"""The short form of the flood test, which CI runs; the long one is run by hand (docs/development.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from devpocket.testing.server import Server
from terminals.tests.endurance.floods import STILL_MAX_BYTES, interrupt, stall
from terminals.tests.homes import Home


async def test_a_shell_waits_for_a_client_that_stops_reading(server: Server, home: Home, tmp_path: Path) -> None:
    outcome = await stall(server, home, tmp_path, seconds=1)
    assert outcome.is_good, str(outcome)


@pytest.mark.parametrize(
    ("is_slow", "is_compressed"),
    [(False, False), (True, False), (True, True)],
    ids=["fast", "slow", "slow, with a hundred times as much in every buffer"],
)
async def test_ctrl_c_is_felt_at_once(server: Server, home: Home, is_slow: bool, is_compressed: bool) -> None:
    kind = {"is_small": True, "is_compressed": is_compressed}
    told = await interrupt(server, home, "tmux=0", is_slow=is_slow, after_s=2, **kind)
    assert told.still_bytes <= STILL_MAX_BYTES, str(told)
