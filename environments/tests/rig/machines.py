"""The rig from the test's side: is it prepared, machines of this run alone, and an end for all of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devpocket.testing.processes import ROOT

PROGRAM = ROOT.parent / "shared" / "rig" / "droplet"
HOST_PROGRAMS = ("qemu-system-x86_64", "qemu-img", "genisoimage", "ssh", "ssh-keygen")
RUNS = "test-"  # how the directories of runs begin


class NotPrepared(Exception):
    """The rig can't be used; the text says what to do."""


@dataclass(frozen=True)
class Rig:
    """One run's machines. `home`: the RIG_HOME of this run, which shares the images with the usual one."""

    home: Path
    suite: str

    @classmethod
    @contextlib.contextmanager
    def for_this_run(cls, suite: str) -> Iterator[Rig]:
        """Machines of its own, all of which end with the run; what killed runs have left ends first.

        Raises: NotPrepared.
        """
        usual = usual_home()
        check(usual, suite)
        for left in usual.glob(f"{RUNS}*"):
            if (lock := _lock(left)) is not None:
                with lock:
                    cls(left, suite)._remove()
        home = Path(tempfile.mkdtemp(prefix=RUNS, dir=usual))
        (home / "base").symlink_to(usual / "base")
        lock = _lock(home)
        assert lock is not None
        with lock:
            rig = cls(home, suite)
            try:
                yield rig
            finally:
                rig._remove()

    @property
    def environment(self) -> dict[str, str]:
        """What the program has to have in its environment."""
        return {"RIG_HOME": str(self.home), "RIG_SUITE": self.suite}

    def run(self, *arguments: str, limit_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def listing(self) -> dict[str, Any]:
        return dict(json.loads(self.run("ls").stdout))

    def name_at(self, address: str) -> str:
        """The machine with this address."""
        return next(str(one["name"]) for one in self.listing()["droplets"] if one["ip"] == address)

    def as_root(self, name: str, command: str, *, limit_s: float = 120) -> str:
        """What a command prints that runs as root inside, without SSH. Raises: AssertionError."""
        done = self.run("exec", name, "--timeout", str(limit_s), "--", command, limit_s=limit_s + 30)
        assert done.returncode == 0, f"{command}: status {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout

    def _remove(self) -> None:
        with contextlib.suppress(ValueError):
            for machine in self.listing()["droplets"]:
                self.run("destroy", machine["name"])
        shutil.rmtree(self.home, ignore_errors=True)


def usual_home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RIG_HOME") or Path(cache) / "devpocket-rig").absolute()


def check(home: Path, suite: str) -> None:
    """Raises: NotPrepared."""
    if not PROGRAM.exists():
        raise NotPrepared(f"the rig is not there: it belongs in {PROGRAM.parent}, beside this checkout")
    prepare = f"as root: {PROGRAM} prepare --suite {suite}"
    if not (home / "base" / suite / "root.img").exists():
        raise NotPrepared(f"the rig has no image of {suite} in {home}. Build it, {prepare}")
    missing = [name for name in HOST_PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NotPrepared(f"{', '.join(missing)}: not installed. Install what the rig needs, {prepare} --force")


def _lock(directory: Path) -> contextlib.AbstractContextManager[Any] | None:
    """Hold a run's directory, if nobody else does."""
    file = (directory / "run.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
