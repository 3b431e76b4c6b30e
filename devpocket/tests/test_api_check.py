"""The API as its description says, under requests that the description allows and forbids (schemathesis)."""

from __future__ import annotations

from pathlib import Path

import pytest

from devpocket.testing.api_check import checked_server, run
from devpocket.testing.localcloud import LocalCloud

# The same requests each time: what is found by chance belongs to `make api-test`.
SHORT = ("--phases", "examples,fuzzing", "--max-examples", "4", "--generation-deterministic")


@pytest.mark.timeout(300)  # 20 s on an idle machine
def test_no_answer_is_outside_the_description(localcloud: LocalCloud, tmp_path: Path) -> None:
    with checked_server(localcloud.client_url, tmp_path) as server:
        done = run(server, tmp_path, *SHORT, is_quiet=True)
    assert done.returncode == 0, done.stdout + done.stderr
