"""The server as a process, with a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from devpocket.testing.localcloud import SSH_PORT, TOKEN, LocalCloud
from devpocket.testing.processes import ROOT, Process


class Server:
    """`url`: http://127.0.0.1:PORT. `kill` and `restart` are for tests of what survives."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment, self._directory = environment, directory
        self.process = self._launch("0")
        self.url = self._url()

    @classmethod
    @contextmanager
    def start(cls, localcloud: LocalCloud, directory: Path, **settings: str) -> Iterator[Server]:
        environment = {
            "DEBUG": "true",
            "SECRET_KEY": "test",
            "JWT_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
            "FIELD_ENCRYPTION_KEYS": "test",
            "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
            "DO_API_URL": localcloud.url,
            "DO_TOKEN": TOKEN,
            "DROPLET_SSH_PORT": str(SSH_PORT),
            "CLOUD_POLL_SECONDS": "0.2",
            "REQUIRE_EMAIL_VERIFICATION": "false",
            "THROTTLE_SCALE": "1000",
            **settings,
        }
        for command in (["migrate", "-v0"], ["import_templates"]):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env={**os.environ, **environment},
                check=True,
                capture_output=True,
            )
        server = cls(environment, directory)
        try:
            yield server
        finally:
            server.process.stop()

    def _launch(self, port: str) -> Process:
        return Process(
            ["manage.py", "serve", "--port", port],
            environment=self._environment,
            log=self._directory / "server.log",
            ready="serving on ",
        )

    def _url(self) -> str:
        return self.process.first_line.partition("serving on ")[2].strip()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def restart(self) -> None:
        """Start again on the same port, after `process.stop()` or `process.kill()`."""
        self.process = self._launch(self.url.rpartition(":")[2])

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "") -> requests.Response:
        """One request of the API; `path` below /api/v1."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=15)
