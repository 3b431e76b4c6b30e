"""The terminal beside other bridges: a server of ours whose one machine is the harness's sshd, and measure.py on it.

    python -m terminals.tests.bench --python /tmp/bench-venv/bin/python \\
        --peers direct,webssh,wetty,devpocket-text,devpocket-binary --cases throughput,echo --reps 3

What is not known here goes to measure.py. Its README says what to install, and how its sshd is started; that one also
needs a user "devpocket" who may log in (useradd -M -s /bin/bash -p '*' devpocket).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server

HARNESS = ROOT.parent / "shared" / "bench" / "terminal"
SSHD = Path(os.environ.get("BENCH_SSHD", "/tmp/bench-sshd"))  # where setup_target.sh puts it
SSHD_PORT = 22022

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "terminals.tests.bench.settings",
    "DROPLET_SSH_PORT": str(SSHD_PORT),
    # The harness types faster than people, from more terminals than one of them has.
    "WS_INPUT_BURST": "1000000",
    "WS_INPUT_RATE": "100000",
    "WS_CONNECTIONS_PER_USER": "5000",
    "WS_COMPRESSION": "false",
    "ACCESS_TOKEN_SECONDS": "86400",
}
ENVIRONMENT = """
from accounts.models import PlatformKey, User
from environments.models import Environment
from templates_catalog.models import Template
user = User.objects.get(username={username!r})
PlatformKey.objects.filter(pk=user.pk).update(private_key={private_key!r})
made = Environment.objects.create(
    owner=user, template=Template.objects.get(pk="ubuntu"), name="Bench", slug="bench", region="nyc3", size="s",
    image="i", memory_mb=1, vcpus=1, disk_gb=1, storage_size_gb=1, phase="running", installation_completed=True,
    droplet_ip="127.0.0.1", next_step_at=None, host_public_key={host_key!r}, host_private_key="unused",
)
print(made.pk)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="that has what the harness needs")
    options, rest = parser.parse_known_args()
    if not (SSHD / "sshd.pid").exists():
        sys.exit(f"{SSHD} has no running sshd: {HARNESS}/setup_target.sh start")
    with tempfile.TemporaryDirectory(prefix="devpocket-bench-") as name:
        directory = Path(name)
        with Server.start("http://127.0.0.1:1", directory, **SETTINGS) as server:
            token = server.sign_up("bench")
            host_key = " ".join((SSHD / "host_ed25519.pub").read_text().split()[:2])
            script = ENVIRONMENT.format(
                username="bench", private_key=(SSHD / "id_ed25519").read_text(), host_key=host_key
            )
            environment = _shell(server, script)
            state = directory / "state.json"
            facts = {"url": server.url, "ws_url": server.ws_url, "token": token, "pid": server.process.pid}
            state.write_text(json.dumps({**facts, "environment": environment}))
            command = [options.python, "measure.py", "--plugin", str(Path(__file__).parent / "peers.py"), *rest]
            variables = {**os.environ, "BENCH_STATE": str(state), "PYTHONDONTWRITEBYTECODE": "1"}
            return subprocess.run(command, cwd=HARNESS, env=variables, check=False).returncode


def _shell(server: Server, script: str) -> str:
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", script]
    environment = {**os.environ, **server.environment}
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return result.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
