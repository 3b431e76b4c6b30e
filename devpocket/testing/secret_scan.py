"""A pytest plugin (pytest.ini loads it): no log line of the whole run may show a secret.

It reads what the tests' own process logs, at the level that production has, and all that the servers and local clouds
of the tests have printed (testing/processes.py). A find fails the run, whichever test it came from, and is named at its
end beside the number of lines that were read. pytest-xdist's workers hand theirs over.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from devpocket.logs import SCRUBBED, line_formatter
from devpocket.testing.localcloud import TOKEN

KNOWN = {  # the secrets that tests use everywhere; the rest is learnt
    "Correct-Horse-7",
    TOKEN,
    "0123456789abcdef0123456789abcdef",  # the signing key
    "word-typed",  # into a terminal, and shown by it
    "typed-by-ann",
}
LOOKS = re.compile(
    r"""
    eyJ[\w-]{8,}\.eyJ                                            # a JWT
    | PRIVATE\ KEY-----
    | \b(?:Bearer|Basic)\ (?!\[)[\w.~+/=-]{8,}
    | (?:dop|doo|dor)_v1_
    | [?&](?:token|ticket|share|code|session)=(?!\[)
    | \#cloud-config | \bwrite_files:
    """,
    re.VERBOSE,
)
SECRET_KEYS = {"token", "ticket", "refresh_token", "access_token", "private_key", "password", "user_password"}
SHOWN_CHARS = 120


@dataclass
class Scan:
    """`lines` were read, `scrubbed` of them had a secret that logs.py has taken out; `found`: what is left."""

    lines: int = 0
    scrubbed: int = 0
    found: list[str] = field(default_factory=list)

    def read(self, text: str, source: str) -> None:
        self.lines += text.count("\n") + (not text.endswith("\n"))
        self.scrubbed += text.count(SCRUBBED)
        hits = [match.start() for match in LOOKS.finditer(text)]
        hits += [text.index(secret) for secret in KNOWN if secret in text]
        for start in hits:
            line = text[text.rfind("\n", 0, start) + 1 :].partition("\n")[0]
            test = os.environ.get("PYTEST_CURRENT_TEST", "")
            self.found.append(f"{source}, at the time of {test}: {line[:SHOWN_CHARS]} ... {text[start : start + 40]}")

    def add(self, other: dict[str, Any]) -> None:
        self.lines += other["lines"]
        self.scrubbed += other["scrubbed"]
        self.found += other["found"]


scan = Scan()


def learn(message: Any) -> None:
    """Whatever a request or an answer (JSON) has under a name of SECRET_KEYS is none to be seen in a log."""
    if isinstance(message, dict):
        for name, value in message.items():
            if name in SECRET_KEYS and isinstance(value, str) and len(value) >= 12 and not LOOKS.match(value):
                KNOWN.add(value)
            learn(value)
    elif isinstance(message, list):
        for part in message:
            learn(part)


class ScanHandler(logging.Handler):
    """Reads every record as the line that production would write."""

    def emit(self, record: logging.LogRecord) -> None:
        scan.read(self.format(record), record.name)


handler = ScanHandler()
handler.setFormatter(line_formatter(json=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    if handler not in logging.root.handlers:  # logging may have been configured anew
        logging.root.addHandler(handler)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if "secret_scan" in getattr(node, "workeroutput", {}):
        scan.add(node.workeroutput["secret_scan"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["secret_scan"] = asdict(scan)
    elif scan.found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.line(
        f"{scan.lines} log lines were read for secrets: {len(scan.found)} found, {scan.scrubbed} had been scrubbed"
    )
    for found in scan.found:
        terminalreporter.line(f"SECRET IN A LOG: {found}", red=True)
