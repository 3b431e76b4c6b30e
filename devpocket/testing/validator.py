"""The cloud API's specification, held against what our client sends and what the local cloud answers.

The validator and the specification lie beside the checkout (../shared/digitalocean); without them there is nothing
to hold against, and the tests that need them say so.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devpocket.testing.processes import ROOT, Process

VALIDATOR = ROOT.parent / "shared" / "digitalocean" / "validate.py"


def load_validator() -> ModuleType:
    """The module validate.py. Skips the test where it is missing."""
    if not VALIDATOR.exists():
        pytest.skip(f"{VALIDATOR.name} and the specification are not beside the checkout")
    spec = importlib.util.spec_from_file_location("validate", VALIDATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


class Proxy:
    """validate.py as a process between client and server. `url`: where the client connects."""

    def __init__(self, process: Process, url: str, report: Path) -> None:
        self.process, self.url, self._report = process, url, report

    def violations(self) -> list[Any]:
        """End the proxy and give what it found wrong; its exit status says the same."""
        return list(self.report()["violations"])

    def report(self) -> dict[str, Any]:
        """End the proxy and give all of what it wrote: `operations` (id: statuses), `violations`, ..."""
        status = self.process.stop()
        found: dict[str, Any] = json.loads(self._report.read_text())
        assert (status != 0) == bool(found["violations"]), self.process.output()
        return found


@contextmanager
def checking_proxy(upstream: str, directory: Path) -> Iterator[Proxy]:
    """A proxy in front of `upstream` that judges both sides."""
    load_validator()
    report = directory / "report.json"
    record = directory / "exchanges.jsonl"
    listen = ["proxy", "--listen", "127.0.0.1:0", "--upstream", upstream]
    process = Process(
        [str(VALIDATOR), *listen, "--report", str(report), "--record", str(record)],
        environment={"PYTHONUNBUFFERED": "1"},
        log=directory / "validator.log",
        ready="listening on ",
    )
    try:
        url = process.first_line.partition("listening on ")[2].partition(",")[0]
        yield Proxy(process, url, report)
    finally:
        process.kill()
