"""The server as a process, with a database of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import requests

from devpocket.testing.localcloud import SSH_PORT, TOKEN
from devpocket.testing.processes import ROOT, Process
from devpocket.testing.secret_scan import learn

_prepared: dict[str, str] = {}  # a migrated database with the templates in it, by kind: made once, then copied


@contextmanager
def _database(directory: Path) -> Iterator[tuple[str, str]]:
    """The URL of a database of its own, and its kind: on the server that DATABASE_URL names, else SQLite.

    A copy of the one that was prepared before, where there is one.
    """
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith("postgres"):
        file = directory / "db.sqlite3"
        if "sqlite" in _prepared:
            shutil.copyfile(_prepared["sqlite"], file)
        yield f"sqlite:///{file}", "sqlite"
        return
    name = f"server_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(given, autocommit=True) as connection:
        template = _prepared.get("postgres")
        connection.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    try:
        yield urlsplit(given)._replace(path=f"/{name}").geturl(), "postgres"
    finally:
        _drop(given, name)


def _drop(given: str, name: str) -> None:
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _drop_at_end(given: str, name: str) -> None:
    with suppress(psycopg.OperationalError):  # a PostgreSQL of a test's own has ended by then
        _drop(given, name)


def _prepare(kind: str, url: str, environment: dict[str, str]) -> None:
    """Migrate, import the templates, and keep a copy of it for the servers to come."""
    if kind == "sqlite":
        # One of a run's processes makes it; those that come meanwhile wait, which costs them nothing.
        copy, own = _shared_files() / "prepared.sqlite3", url.removeprefix("sqlite:///")
        with copy.with_suffix(".lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if copy.exists():
                shutil.copyfile(copy, own)
            else:
                _migrate(environment)
                with closing(sqlite3.connect(own)) as source:
                    source.execute("VACUUM INTO ?", (str(copy),))  # with what is in its write-ahead log
        _prepared[kind] = str(copy)
    else:
        _migrate(environment)
        given, name = os.environ["DATABASE_URL"], f"prepared_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{urlsplit(url).path[1:]}"')
        atexit.register(_drop_at_end, given, name)
        _prepared[kind] = name


def _migrate(environment: dict[str, str]) -> None:
    for command in (["migrate", "-v0"], ["import_templates"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )


def _shared_files() -> Path:
    """Of all processes of a test run, else of this one."""
    if given := os.environ.get("TESTS_FILES"):
        return Path(given)
    own = tempfile.mkdtemp(prefix="devpocket-prepared-")
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return Path(own)


class Server:
    """`url`: http://127.0.0.1:PORT. `kill` and `restart` are for tests of what survives."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment, self._directory = environment, directory
        self.process = self._launch("0")
        self.url = self._url()

    @classmethod
    @contextmanager
    def start(cls, cloud_url: str, directory: Path, **settings: str) -> Iterator[Server]:
        with _database(directory) as (database_url, kind):
            yield from cls._run(cloud_url, directory, kind, {"DATABASE_URL": database_url, **settings})

    @classmethod
    def _run(cls, cloud_url: str, directory: Path, kind: str, settings: dict[str, str]) -> Iterator[Server]:
        environment = {
            "DEBUG": "true",
            "SECRET_KEY": "test",
            "JWT_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
            "FIELD_ENCRYPTION_KEYS": "test",
            "REDIS_URL": os.environ.get("SERVER_REDIS_URL") or os.environ.get("REDIS_URL", ""),
            "DO_API_URL": cloud_url,
            "DO_TOKEN": TOKEN,
            "DROPLET_SSH_PORT": str(SSH_PORT),
            "CLOUD_POLL_SECONDS": "0.2",
            "CLOUD_CALLS_PER_MINUTE": "100000",
            "CLOUD_CALLS_PER_HOUR": "100000",
            "REQUIRE_EMAIL_VERIFICATION": "false",
            "THROTTLE_SCALE": "1000",
            "SHUTDOWN_SPREAD_SECONDS": "0",  # tests stop servers often
            "RECORDING_WORK_DIR": str(directory / "recording"),  # not the checkout's: what no row knows is deleted
            "MEDIA_ROOT": str(directory / "media"),
            **settings,
        }
        if kind not in _prepared:
            _prepare(kind, settings["DATABASE_URL"], environment)
        server = cls(environment, directory)
        try:
            yield server
        finally:
            server.process.stop()

    def sibling(self, directory: Path) -> Server:
        """A second server process on the same database and cache. Stopping it is its maker's business."""
        return Server(self._environment, directory)

    @property
    def environment(self) -> dict[str, str]:
        """What its process has beside ours, for management commands on its database."""
        return dict(self._environment)

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

    def replace(self, port: int) -> Process:
        """Start another process of its kind on `port` and go on with that; the one before is its caller's to stop."""
        before = self.process
        self.process = self._launch(str(port))
        self.url = self._url()
        return before

    def sign_up(self, username: str) -> str:
        """Register; the access token."""
        body = {"username": username, "email": f"{username}@example.org", "password": "Correct-Horse-7"}
        answer = self.ask("POST", "/auth/register", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])

    def create(self, token: str, name: str, **fields: Any) -> str:
        """Create an environment; its id."""
        answer = self.ask("POST", "/environments", {"name": name, "template_id": "ubuntu", **fields}, token=token)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def wait_for(self, token: str, environment_id: str, *phases: str, limit_s: float = 30) -> dict[str, Any]:
        """The environment, once it is in one of the phases. Raises: AssertionError after `limit_s`."""
        give_up_at = time.monotonic() + limit_s
        while True:
            shown: dict[str, Any] = self.ask("GET", f"/environments/{environment_id}", token=token).json()
            if shown["phase"] in phases:
                return shown
            assert time.monotonic() < give_up_at, f"still {shown['phase']}: {shown['error'] or shown['status_message']}"
            time.sleep(0.05)

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "") -> requests.Response:
        """One request of the API; `path` below /api/v1."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=15)
        learn([body, answer.json() if "json" in answer.headers.get("Content-Type", "") else None])
        return answer
