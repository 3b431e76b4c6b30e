"""A backup, the loss of everything but the machines, and a fresh server (docs/operations.md, Backup and restore)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from environments.tests.waiting import wait_until
from terminals.tests.homes import Home, settled
from terminals.tests.phone import Phone

pytestmark = [
    pytest.mark.skipif(not (os.environ["DATABASE_URL"] and os.environ["REDIS_URL"]), reason="production's stores"),
    pytest.mark.timeout(240),
]


def program(name: str) -> str:
    """One of PostgreSQL's, from the newest version that is installed."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(beside[-1]) if beside else name


@contextmanager
def restored(dump: Path) -> Iterator[str]:
    """The URL of a new database with what the dump has."""
    given, name = os.environ["DATABASE_URL"], f"restored_{uuid.uuid4().hex[:12]}"
    url = urlsplit(given)._replace(path=f"/{name}").geturl()
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        subprocess.run([program("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={url}", dump], check=True)
        yield url
    finally:
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def unused_redis() -> str:
    """A database of Redis's that no worker of pytest-xdist uses, with four of them."""
    address, _, number = os.environ["SERVER_REDIS_URL"].rpartition("/")
    return f"{address}/{23 - int(number)}"


def asked_for(cloud: LocalCloud, *, after: int) -> set[tuple[str, str]]:
    return {(one["method"], one["path"]) for one in cloud.requests_served()[after:]}


def shown(server: Server, home: Home) -> dict[str, Any]:
    return {one["name"]: one for one in server.ask("GET", "/environments", token=home.token).json()}


async def test_a_fresh_server_finds_the_machines_of_the_backup(localcloud: LocalCloud, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with Server.start(
        localcloud.client_url, tmp_path / "old", FREE_ENVIRONMENTS="5", TERMINAL_RESUME_SECONDS="0"
    ) as old:
        home = await settled(old)
        async with Phone.in_use(old, home.environment_id, home.token, "record=1") as phone:
            await phone.run("MARK=kept; echo mar''ked", "marked")
        before = await asyncio.to_thread(back_up, old, home, tmp_path)
        late = await asyncio.to_thread(live_on, old, home, localcloud)
        old.process.kill()
    served = len(localcloud.requests_served())

    with restored(tmp_path / "dump") as database_url:
        settings = {
            **old.environment,
            "DATABASE_URL": database_url,
            "REDIS_URL": unused_redis(),
            "SECRET_KEY": "another",
            "RECORDING_WORK_DIR": str(tmp_path / "new/recording"),
            "MEDIA_ROOT": str(tmp_path / "new/media"),
        }
        new = Server(settings, tmp_path / "new")
        try:
            # The terminal is the one from before: tmux has run on.
            async with Phone.in_use(new, home.environment_id, home.token) as phone:
                await phone.run("echo $MARK-$MARK", "kept-kept")
            await asyncio.to_thread(look_around, new, home, before, localcloud, served)
            assert len(localcloud.droplets(f"dp-env-{late}")) == 1  # unknown to this database: left alone
            assert "Traceback" not in new.process.output()
        finally:
            new.process.stop()


def back_up(server: Server, home: Home, directory: Path) -> dict[str, Any]:
    """The dump, then the files; what the API shows at that time."""
    doomed = server.create(home.token, "Doomed")
    server.wait_for(home.token, doomed, "running")
    wait_until(lambda: recordings(server, home), lambda found: [one["state"] for one in found] == ["complete"])
    url = server.environment["DATABASE_URL"]
    dump = [program("pg_dump"), "--format=custom", "--no-owner", f"--file={directory / 'dump'}", url]
    subprocess.run(dump, check=True)
    shutil.copytree(server.environment["MEDIA_ROOT"], directory / "new/media")
    return shown(server, home)


def live_on(server: Server, home: Home, cloud: LocalCloud) -> str:
    """What the backup knows nothing of: one environment is deleted, another is made, whose id this gives."""
    doomed = shown(server, home)["Doomed"]["id"]
    assert server.ask("DELETE", f"/environments/{doomed}", token=home.token).status_code == 204
    late = server.create(home.token, "Late")
    wait_until(lambda: cloud.droplets(f"dp-env-{late}"), bool, limit_s=20)
    wait_until(lambda: cloud.volumes(f"dp-env-{doomed}"), lambda found: not found, limit_s=20)
    return late


def look_around(server: Server, home: Home, before: dict[str, Any], cloud: LocalCloud, served: int) -> None:
    doomed = before["Doomed"]["id"]
    lost = server.wait_for(home.token, doomed, "error")
    assert lost["error"]["code"] == "droplet_missing"
    now = shown(server, home)
    assert set(now) == {"Home", "Doomed"}
    for name in ("phase", "droplet_id", "droplet_ip"):
        assert now["Home"][name] == before["Home"][name]

    [recording] = recordings(server, home)
    assert "marked" in server.ask("GET", f"/terminal-recordings/{recording['id']}/download", token=home.token).text
    refresh = {"refresh_token": home.refresh_token}
    assert server.ask("POST", "/auth/refresh", refresh).status_code == 200

    changes = {one for one in asked_for(cloud, after=served) if one[0] != "GET"}
    assert not changes & {("POST", "/v2/droplets"), ("POST", "/v2/volumes")}
    assert not any(method == "DELETE" for method, _ in changes)
    assert server.ask("DELETE", f"/environments/{doomed}", token=home.token).status_code == 204
    assert set(shown(server, home)) == {"Home"}


def recordings(server: Server, home: Home) -> list[dict[str, Any]]:
    return list(server.ask("GET", "/terminal-recordings", token=home.token).json())
