"""PostgreSQL and Redis as processes of a test's own, for tests that take them away and give them back."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil
import psycopg
import redis

START_LIMIT_S = 30
LOOK_S = 0.05


def missing() -> list[str]:
    """What has to be installed before the two can be started, in words."""
    return [
        *([] if _initdb() else ["PostgreSQL (initdb; Debian: postgresql)"]),
        *([] if shutil.which("redis-server") else ["Redis (redis-server; Debian: redis-server)"]),
    ]


def _initdb() -> str | None:
    return shutil.which("initdb") or next(
        iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)), None
    )


class Store(ABC):
    """One of the two. `url`: where it is, also after `kill` and `start`."""

    url: str

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="devpocket-store-"))
        self._directory.chmod(0o755)  # of whoever it runs as
        self._child: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Ended afterwards, and forgotten."""
        store = cls()
        try:
            store.start()
            yield store
        finally:
            store.stop()
            shutil.rmtree(store._directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start it, and wait until it answers. Raises: RuntimeError."""
        with (self._directory / "log").open("ab") as log:
            self._child = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user(), cwd="/"
            )
        give_up_at = time.monotonic() + START_LIMIT_S
        while True:
            with suppress(psycopg.OperationalError, redis.RedisError):
                return self._ask()
            if time.monotonic() > give_up_at or self._child.poll() is not None:
                raise RuntimeError(f"did not start: {(self._directory / 'log').read_text()[-2000:]}")
            time.sleep(LOOK_S)

    def kill(self) -> None:
        """As after a crash: without a word to anybody."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGINT)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
            self._child.wait(START_LIMIT_S)

    def _user(self) -> str | None:
        return None

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def _ask(self) -> None:
        """Raises: what its client does, where it doesn't answer."""


class Postgres(Store):
    """A cluster of its own, with the user devpocket and no password."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"postgres://devpocket@127.0.0.1:{self.port}/postgres"
        self._data = self._directory / "data"
        self._data.mkdir()
        if self._user():
            shutil.chown(self._data, self._user())
        initdb = _initdb()
        assert initdb is not None
        self._bin = Path(initdb).parent
        subprocess.run(
            [initdb, "-D", str(self._data), "-U", "devpocket", "--auth=trust", "-E", "UTF8", "--no-sync"],
            user=self._user(),
            cwd="/",
            check=True,
            capture_output=True,
        )

    def _user(self) -> str | None:
        return "postgres" if os.getuid() == 0 else None  # it refuses to run as root

    def _command(self) -> list[str]:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "100"}
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), *given]

    def kill(self) -> None:
        """All of it: its children would go on for a moment, and keep the data from being used."""
        children = psutil.Process(self.pid).children()
        super().kill()
        psutil.wait_procs(children, timeout=START_LIMIT_S)

    def _ask(self) -> None:
        psycopg.connect(self.url, connect_timeout=5).close()


class Redis(Store):
    """Keeps nothing: after a kill it is empty, as a cache is."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._directory),
        ]

    def _ask(self) -> None:
        with redis.from_url(self.url) as connection:
            connection.ping()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
