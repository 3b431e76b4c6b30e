"""Processes that a test starts: waiting for their first word, and ending them for sure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 30


class Process:
    """A child with its output in a file. `ready`: the line that says it can be used. `program`: which python."""

    def __init__(
        self,
        arguments: list[str],
        *,
        environment: dict[str, str],
        log: Path,
        ready: str,
        program: str | Path = sys.executable,
        cwd: Path = ROOT,
    ) -> None:
        self.log, self._is_scanned = log, False
        with log.open("ab") as output:
            self._start_of_log = output.tell()
            self._child = subprocess.Popen(
                [program, *arguments],
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.first_line = self._wait_for(ready)

    @property
    def pid(self) -> int:
        return self._child.pid

    def _wait_for(self, ready: str) -> str:
        """The first line of its output that has `ready` in it."""
        give_up_at = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up_at:
            for line in self.output().splitlines():
                if ready in line:
                    return line
            if self._child.poll() is not None:
                break
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"did not say {ready!r}:\n{self.output()}")

    def output(self) -> str:
        """What it has printed since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._start_of_log)
            return file.read().decode(errors="replace")

    def stop(self, *, limit_s: float = 35) -> int:
        """SIGTERM, and wait for the end; its exit status. Raises: TimeoutExpired, after killing it."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._scan()

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._scan()

    def _scan(self) -> None:
        """Look for secrets in all that it has printed."""
        from devpocket.testing.secret_scan import scan  # its module needs the secrets of those that need this one

        if not self._is_scanned:
            self._is_scanned = True
            scan.read(self.output(), self.log.name)
