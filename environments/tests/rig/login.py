"""OpenSSH's own client on the machines: as their user would come, with a host key known beforehand."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 120.0  # emulated machines take seconds for a login, more while packages are being unpacked


@dataclass(frozen=True)
class Key:
    """A key pair in a file."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Key:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return cls(path)

    @property
    def public(self) -> str:
        return self.path.with_name(f"{self.path.name}.pub").read_text().strip()


@dataclass(frozen=True)
class Login:
    """How to come in: with which key, to which machine, knowing which host key."""

    directory: Path
    address: str
    port: int
    host_key: str
    user: str = "devpocket"

    def attempt(self, command: str, key: Key, *, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
        known = self.directory / "known_hosts"
        known.write_text(f"[{self.address}]:{self.port} {self.host_key}\n")
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "60",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            [
                "ssh",
                "-F",
                "none",
                "-p",
                str(self.port),
                "-i",
                str(key.path),
                *words,
                f"{self.user}@{self.address}",
                command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def run(self, command: str, key: Key, *, limit_s: float = LIMIT_S) -> str:
        """What it prints, in a login shell. Raises: AssertionError."""
        done = self.attempt(f"bash -lc {shlex.quote(command)}", key, limit_s=limit_s)
        assert done.returncode == 0, (
            f"{command}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}"
        )
        return done.stdout.strip()
