"""A running environment for clients to connect to, and whose it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server
from terminals.tests.pty import LIMIT_S


@dataclass(frozen=True)
class Machine:
    """`variables`: for a client of its owner's."""

    server: Server
    username: str
    token: str
    id: str
    name: str

    @property
    def variables(self) -> dict[str, str]:
        return {"DEVPOCKET_URL": self.server.url, "DEVPOCKET_TOKEN": self.token}

    def run(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        """The client with a script in place of a keyboard."""
        return subprocess.run(
            [sys.executable, "manage.py", "connect", self.name, *options],
            cwd=ROOT,
            env={**os.environ, **self.variables},
            input=script,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Of the environment's API; what is answered, None for nothing."""
        answer = self.server.ask(method, f"/environments/{self.id}{path}", body, token=self.token)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def share(self, **fields: Any) -> dict[str, Any]:
        """A guest link."""
        made: dict[str, Any] = self.ask("POST", "/terminal-shares", fields)
        return made
