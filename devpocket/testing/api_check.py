"""schemathesis over the whole API, signed in, on a real server with a local cloud (docs/development.md).

python -m devpocket.testing.api_check [options of `st run`]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server

# Left out: positive_data_acceptance. What a schema can't say (a template that exists, a password that isn't common)
# makes many requests wrong that keep to it.
LEFT_OUT = "positive_data_acceptance"
# What it concludes from the sentences of refusals is wrong: "A valid integer is required." makes no field required.
CONFIGURATION = "phases.fuzzing.error-feedback.enabled = false\n"
# Mails, machines and throttles are real; only what a run can't have without end is limited.
SETTINGS = {"FREE_ENVIRONMENTS": "12", "MAX_SNAPSHOTS": "100", "LOG_LEVEL": "WARNING"}


def closed(schema: Any) -> Any:
    """The same with every object of an answer closed: a field that isn't described is a failure too."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(part) for key, part in schema.items() if key != "allOf"}
    if "allOf" in schema:
        shut["allOf"] = [closed(schema["allOf"][0]), *schema["allOf"][1:]]
    if schema.get("type") == "object" and "properties" in schema:
        shut.setdefault("additionalProperties", False)
    return shut


def strict(description: dict[str, Any]) -> dict[str, Any]:
    parts = description["components"]
    parts["schemas"] = {
        name: part if name.endswith("Request") else closed(part) for name, part in parts["schemas"].items()
    }
    parts["responses"] = closed(parts["responses"])
    for routes in description["paths"].values():
        for operation in routes.values():
            operation["responses"] = closed(operation["responses"])
    return description


def world(server: Server) -> dict[str, Any]:
    """A user with running environments, an administrator, and what else ids are needed of."""
    user, admin = server.sign_up("checker"), server.sign_up("checking-admin")
    promote = "from accounts.models import User; User.objects.filter(username='checking-admin').update(is_staff=True)"
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", promote],
        cwd=ROOT,
        env={**os.environ, **server.environment},
        check=True,
    )
    environments = [server.create(user, f"checked {number}") for number in range(3)]
    for environment in environments:
        server.wait_for(user, environment, "running")
    below = f"/environments/{environments[0]}"
    snapshot = server.ask("POST", f"{below}/snapshots", {}, token=user).json()
    share = server.ask("POST", f"{below}/terminal-shares", {}, token=user).json()
    ids = {
        "environment_id": environments,
        "snapshot_id": [snapshot["id"]],
        "share_id": [share["id"]],
        "name": ["python", "Ubuntu", "node"],
    }
    return {"url": server.url, "user": user, "admin": admin, "ids": ids}


def run(server: Server, directory: Path, *options: str, is_quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """`st run` with these options on the server. `is_quiet`: what it says is in the result only."""
    described = requests.get(f"{server.url}/api/schema", params={"format": "json"}, timeout=20).json()
    file = directory / "openapi.json"  # YAML of this size takes a second
    file.write_text(json.dumps(strict(described)))
    (directory / "schemathesis.toml").write_text(CONFIGURATION)  # found there, as it is the working directory
    environment = {
        **os.environ,
        "API_CHECK": json.dumps(world(server)),
        "SCHEMATHESIS_HOOKS": "devpocket.testing.api_hooks",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", server.url]
    return subprocess.run(
        [*command, "--exclude-checks", LEFT_OUT, "--warnings", "off", *options],
        cwd=directory,
        env=environment,
        check=False,
        text=True,
        capture_output=is_quiet,
    )


class _NoKeys(BaseHTTPRequestHandler):
    """In Google's place: it has no keys, so it signed nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def checked_server(cloud_url: str, directory: Path) -> Iterator[Server]:
    """A server on the local cloud, on which Google's sign-in can be asked for too."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _NoKeys) as keys:
        threading.Thread(target=keys.serve_forever, daemon=True).start()
        google = {"GOOGLE_CLIENT_IDS": "checked", "GOOGLE_CERTS_URL": f"http://127.0.0.1:{keys.server_port}/"}
        try:
            with Server.start(cloud_url, directory, **SETTINGS, **google) as server:
                yield server
        finally:
            keys.shutdown()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="devpocket-api-") as path:
        directory = Path(path)
        with LocalCloud.start(directory) as cloud, checked_server(cloud.client_url, directory) as server:
            return run(server, directory, *sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())
