"""The local cloud as a process, and what a test may ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from devpocket.testing.processes import Process

TOKEN = "token-of-the-tests"
SSH_PORT = 2222


class LocalCloud:
    """`url`: its API; the methods are its admin endpoints, and plain requests of the API.

    `client_url`: where the product's own client is to go, which may be a proxy that judges what it says and hears.
    """

    def __init__(self, process: Process, url: str) -> None:
        self.process, self.url, self.client_url = process, url, url
        self._misbehaves = False

    @classmethod
    @contextmanager
    def start(cls, directory: Path, *options: str, listen: str = "127.0.0.1:0") -> Iterator[LocalCloud]:
        process = Process(
            [
                "-m",
                "environments.localcloud",
                *("--listen", listen, "--state", str(directory / "state"), "--ssh-port", str(SSH_PORT)),
                *("--boot-seconds", "0.3", "--install-seconds", "0.3", "--action-seconds", "0.1"),
                *("--detach-seconds", "0.2", "--rate-limit-per-minute", "100000", "--rate-limit-per-hour", "100000"),
                *options,
            ],
            environment={"LOCALCLOUD_TOKEN": TOKEN},
            log=directory / "localcloud.log",
            ready="local cloud ready on ",
        )
        try:
            yield cls(process, process.first_line.partition("ready on ")[2].strip())
        finally:
            process.stop()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request with the token; the answer's JSON, or None for 204. Raises: requests.HTTPError."""
        answer = requests.request(
            method, self.url + path, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def droplets(self, tag: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/v2/droplets?tag_name={tag}&per_page=200")["droplets"])

    def volumes(self, name: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/v2/volumes?name={name}&region=nyc3")["volumes"])

    def actions(self, droplet_id: int) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self.ask("GET", f"/v2/droplets/{droplet_id}/actions?per_page=200")["actions"])

    def snapshots(self, tag: str) -> list[dict[str, Any]]:
        """Those of an environment's droplets, known by their names."""
        found = self.ask("GET", "/v2/snapshots?resource_type=droplet&per_page=200")["snapshots"]
        return [snapshot for snapshot in found if snapshot["name"].startswith(f"{tag}-")]

    def misbehave(self, fault: str, **rule: Any) -> None:
        """Add a fault: lose_answer, status, hang, slow, action_error, never_active, vanish (docs/localcloud.md)."""
        self._misbehaves = True
        self.ask("POST", "/_localcloud/faults", {"fault": fault, **rule})

    def behave(self) -> None:
        """Without a request where no fault was added: every test that uses the cloud calls it twice."""
        if self._misbehaves:
            self.ask("DELETE", "/_localcloud/faults")
            self._misbehaves = False

    def requests_served(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/_localcloud/requests")["requests"])
