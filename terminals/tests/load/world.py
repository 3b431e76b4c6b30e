"""What the load is put on: stores, a local cloud, two server processes behind nginx, and users with machines."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devpocket.testing import stores
from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server
from terminals.tests.load.visitors import Resident

SETTLERS = 6  # who sign up at the same time
START_LIMIT_S = 15
# As docs/deploy.md has it before the servers, but for TLS.
UPSTREAMS, PORTS = ROOT / "deploy" / "nginx-upstream.conf", (8001, 8002)
NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    {upstreams}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1; proxy_read_timeout 300s; proxy_send_timeout 300s;
        location / {{
            proxy_pass http://devpocket;
            proxy_set_header Host $http_host; proxy_set_header Upgrade ''; proxy_set_header Connection '';
        }}
        location /api/v1/ws/ {{
            proxy_pass http://devpocket_sockets; proxy_buffering off; proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


class Proxy:
    """nginx before the servers. `pid`: of its master process."""

    def __init__(self, directory: Path, server_urls: list[str]) -> None:
        self._directory, self._port = directory, stores.free_port()
        self._config = directory / "nginx.conf"
        self._write(server_urls)
        program = _nginx()
        assert program is not None
        self._process = subprocess.Popen([program, "-p", directory, "-c", self._config], stdin=subprocess.DEVNULL)
        self.pid, self.url = self._process.pid, f"http://127.0.0.1:{self._port}"

    @classmethod
    @contextmanager
    def started(cls, directory: Path, server_urls: list[str]) -> Iterator[Proxy]:
        proxy = cls(directory, server_urls)
        try:
            proxy._wait()
            yield proxy
        finally:
            proxy._process.terminate()
            proxy._process.wait(START_LIMIT_S)

    def _wait(self) -> None:
        give_up_at = time.monotonic() + START_LIMIT_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > give_up_at or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def _write(self, server_urls: list[str]) -> None:
        upstreams = UPSTREAMS.read_text()
        for url, deployed in zip(server_urls, PORTS, strict=True):
            upstreams = upstreams.replace(f"127.0.0.1:{deployed} ", f"{url.removeprefix('http://')} ")
        self._config.write_text(NGINX.format(directory=self._directory, upstreams=upstreams, port=self._port))

    def set_servers(self, server_urls: list[str]) -> None:
        """From now on; connections that are open stay where they are."""
        self._write(server_urls)
        self._process.send_signal(signal.SIGHUP)


class Missing(Exception):
    """Says what has to be installed."""


@dataclass
class World:
    """`url`, `ws_url`: of the proxy. `cloud_is_up`: set False, and the cloud's API can't be reached. `free_port`: where
    the next process begins.
    """

    postgres: stores.Store
    redis: stores.Store
    cloud: LocalCloud
    servers: list[Server]
    proxy: Proxy
    free_port: int
    cloud_is_up: bool = True

    @property
    def url(self) -> str:
        return self.proxy.url

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
        """As deploy/rolling-restart: one server process after another is replaced; how long each took to stop, in s."""
        took_s = []
        for server in self.servers:
            port = int(server.url.rpartition(":")[2])
            old = server.replace(self.free_port)
            self.proxy.set_servers([server.url for server in self.servers])
            began = time.monotonic()
            status = old.stop(limit_s=40)
            took_s.append(time.monotonic() - began)
            if status != 0:
                raise RuntimeError(f"a server ended with status {status}")
            self.free_port = port
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
            places = [directory / f"server-{number}" for number in range(len(PORTS))]
            for place in places:
                place.mkdir()
            starting = Server.start(road.url, places[0], **production)
            servers = [await asyncio.to_thread(stack.enter_context, starting)]
            for place in places[1:]:
                servers.append(other := await asyncio.to_thread(servers[0].sibling, place))
                stack.callback(lambda other=other: other.process.stop(limit_s=40))
            proxy = stack.enter_context(Proxy.started(directory, [server.url for server in servers]))
            state["world"] = World(postgres, redis, cloud, servers, proxy, stores.free_port())
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
