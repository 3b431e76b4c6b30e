"""What the load is put on: stores, a local cloud, two server processes behind nginx, and users with machines."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devpocket.testing import stores
from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.load.visitors import Resident

SETTLERS = 6  # who sign up at the same time
PROCESSES = 2
START_LIMIT_S = 15
# A process that restarts refuses connections, and the next one is asked at once (docs/operations.md).
NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    upstream servers {{ {servers} }}
    map $http_upgrade $connection_header {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://servers; proxy_http_version 1.1; proxy_buffering off;
            proxy_read_timeout 300s; proxy_send_timeout 300s;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_header;
        }}
    }}
}}
"""


class Missing(Exception):
    """Says what has to be installed."""


@dataclass
class World:
    """`url`, `ws_url`: of the proxy. `cloud_is_up`: set False, and the cloud's API can't be reached."""

    postgres: stores.Store
    redis: stores.Store
    cloud: LocalCloud
    servers: list[Server]
    nginx_pid: int
    url: str
    cloud_is_up: bool = True

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def settle(self, count: int) -> list[Resident]:
        """So many new users with a running environment each."""

        def settle_one(number: int) -> Resident:
            server = self.servers[number % len(self.servers)]
            token = server.sign_up(f"resident{number}{secrets.token_hex(3)}")
            return Resident(token, server.create(token, "Home"))

        with ThreadPoolExecutor(SETTLERS) as pool:
            residents = list(pool.map(settle_one, range(count)))
        for one in residents:
            self.servers[0].wait_for(one.token, one.environment_id, "running", limit_s=300)
        return residents

    def restart_all(self) -> list[float]:
        """One server process after another is told to stop and started again; how long each took to stop, in s."""
        took_s = []
        for server in self.servers:
            began = time.monotonic()
            status = server.process.stop(limit_s=40)
            took_s.append(time.monotonic() - began)
            if status != 0:
                raise RuntimeError(f"a server ended with status {status}")
            server.restart()
        return took_s


def check_machine() -> None:
    """Raises: Missing."""
    wanted = stores.missing()
    if _nginx() is None:
        wanted.append("nginx (Debian: nginx-light)")
    if shutil.which("tmux") is None:
        wanted.append("tmux")
    if wanted:
        raise Missing("This needs " + ", ".join(wanted) + ".")


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@asynccontextmanager
async def world(directory: Path, **settings: str) -> AsyncIterator[World]:
    """Raises: Missing."""
    check_machine()
    state: dict[str, World] = {}

    def fate() -> Fate:
        is_up = "world" not in state or state["world"].cloud_is_up
        return Fate(port=cloud_port if is_up else 1)

    with ExitStack() as stack:
        postgres = stack.enter_context(stores.Postgres.running())
        redis = stack.enter_context(stores.Redis.running())
        stack.enter_context(_environment(DATABASE_URL=postgres.url))
        cloud = stack.enter_context(LocalCloud.start(directory))
        cloud_port = int(cloud.url.rpartition(":")[2])
        async with CuttingProxy.start(fate) as road:
            production = {
                "DEBUG": "false",
                "LOG_LEVEL": "INFO",
                "SECRET_KEY": secrets.token_urlsafe(50),
                "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
                "FIELD_ENCRYPTION_KEYS": secrets.token_urlsafe(32),
                "PUBLIC_URL": "https://devpocket.example.org",
                "ALLOWED_HOSTS": "127.0.0.1",
                "EMAIL_URL": f"filemail:///{directory}/outbox",
                "REDIS_URL": redis.url,
                "ACCESS_TOKEN_SECONDS": "86400",
                "CLOUD_POLL_SECONDS": "2",
                "SHUTDOWN_SPREAD_SECONDS": "5",
                **settings,
            }
            places = [directory / f"server-{number}" for number in range(PROCESSES)]
            for place in places:
                place.mkdir()
            starting = Server.start(road.url, places[0], **production)
            servers = [await asyncio.to_thread(stack.enter_context, starting)]
            for place in places[1:]:
                servers.append(other := await asyncio.to_thread(servers[0].sibling, place))
                stack.callback(lambda other=other: other.process.stop(limit_s=40))
            nginx_pid, url = stack.enter_context(_proxy(directory, [server.url for server in servers]))
            state["world"] = World(postgres, redis, cloud, servers, nginx_pid, url)
            yield state["world"]


@contextmanager
def _environment(**variables: str) -> Any:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _proxy(directory: Path, urls: list[str]) -> Any:
    """nginx before them: its process id, and its URL."""
    program, port, config = _nginx(), stores.free_port(), directory / "nginx.conf"
    assert program is not None
    lines = " ".join(f"server {url.removeprefix('http://')} max_fails=0;" for url in urls)
    config.write_text(NGINX.format(directory=directory, servers=lines, port=port))
    child = subprocess.Popen([program, "-p", str(directory), "-c", str(config)], stdin=subprocess.DEVNULL)
    try:
        give_up_at = time.monotonic() + START_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > give_up_at or child.poll() is not None:
                    raise
                time.sleep(0.05)
        yield child.pid, f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(START_LIMIT_S)
