"""A machine of the test's own, with a disk that tests write to and look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from environments.tests.sshd import Machine
from environments.tests.stepping import Disk, machine_with


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
async def machine(disk: Disk, settings: Any) -> AsyncIterator[Machine]:
    async with machine_with(disk, settings) as running:
        yield running
