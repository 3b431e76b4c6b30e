"""A real local cloud for each test: in this process, or as a process of its own where it is to be killed."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import requests
import yaml

from environments.localcloud.server import LocalCloud, running
from environments.localcloud.settings import Settings

REPOSITORY = Path(__file__).parents[3]
SPECIFICATION = REPOSITORY.parent / "shared" / "digitalocean" / "validate.py"
TOKEN = "dop_v1_test"
SIZE, IMAGE, REGION = "s-1vcpu-1gb", "ubuntu-24-04-x64", "nyc3"


async def eventually(probe: Callable[[], Awaitable[Any]], *, timeout_s: float = 10) -> Any:
    """What `probe` returns, as soon as that is true."""
    async with asyncio.timeout(timeout_s):
        while True:
            if found := await probe():
                return found
            await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def validator() -> Any:
    """The yardstick for the API: DigitalOcean's specification."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there: it belongs in ../shared/digitalocean, beside the repository")
    spec = importlib.util.spec_from_file_location("digitalocean_validate", SPECIFICATION)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module.SpecValidator()


@dataclass
class Answer:
    status: int
    headers: Any
    body: Any


@dataclass
class Api:
    """A client that holds every answer (and every request not meant to be wrong) against the specification."""

    url: str
    validator: Any = None
    token: str = TOKEN
    operations: set[str] = field(default_factory=set)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        fault: str | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        sent = {
            "Authorization": f"Bearer {self.token}",
            **({"X-Localcloud-Fault": fault} if fault else {}),
            **(headers or {}),
        }
        content = json.dumps(body).encode() if body is not None else data
        if content is not None:
            sent["Content-Type"] = "application/json"

        def send() -> requests.Response:
            # A connection of its own, so that none is left behind in a thread.
            with requests.Session() as session:
                session.trust_env = False
                return session.request(method, self.url + path, headers=sent, data=content, timeout=10)

        response = await asyncio.to_thread(send)
        answer = Answer(response.status_code, response.headers, response.json() if response.content else None)
        if self.validator and path.startswith("/v2/"):
            self.validator.check_response(method, path, answer.status, response.headers, response.content)
            if answer.status < 300:
                self.operations.add(self.validator.check_request(method, path, sent, content).id)
        return answer

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of an answer that must be a success."""
        answer = await self.call(method, path, body, **more)
        assert answer.status < 300, answer
        return answer.body

    async def create(self, name: str = "box", **fields: Any) -> int:
        """A new droplet's id."""
        body = {"name": name, "size": SIZE, "image": IMAGE, "region": REGION, **fields}
        return int((await self.ok("POST", "/v2/droplets", body))["droplet"]["id"])

    async def volume(self, name: str = "home", region: str = REGION) -> str:
        """A new volume's id."""
        body = {"name": name, "size_gigabytes": 10, "region": region}
        return str((await self.ok("POST", "/v2/volumes", body))["volume"]["id"])

    async def droplet(self, droplet_id: int) -> Any:
        answer = await self.call("GET", f"/v2/droplets/{droplet_id}")
        return answer.body["droplet"] if answer.status == 200 else None

    async def until_status(self, droplet_id: int, status: str) -> Any:
        """The droplet, once it has this status."""

        async def probe() -> Any:
            droplet = await self.droplet(droplet_id)
            return droplet if droplet["status"] == status else None

        return await eventually(probe)

    async def act(self, droplet_id: int, kind: str, **details: Any) -> Any:
        """A droplet action, once it has ended."""
        body = {"type": kind, **details}
        action = (await self.ok("POST", f"/v2/droplets/{droplet_id}/actions", body))["action"]
        return await self.until_ended(action["id"])

    async def snapshot(self, droplet_id: int, name: str = "saved") -> int:
        """The id of a new snapshot of a droplet."""
        before = (await self.droplet(droplet_id))["snapshot_ids"]
        assert (await self.act(droplet_id, "snapshot", name=name))["status"] == "completed"
        (snapshot,) = set((await self.droplet(droplet_id))["snapshot_ids"]).difference(before)
        return int(snapshot)

    async def is_free(self, volume_id: str) -> bool:
        """Whether a volume is attached to nothing."""
        return not (await self.ok("GET", f"/v2/volumes/{volume_id}"))["volume"]["droplet_ids"]

    async def until_ended(self, action_id: int) -> Any:
        async def probe() -> Any:
            action = (await self.ok("GET", f"/v2/actions/{action_id}"))["action"]
            return action if action["status"] != "in-progress" else None

        return await eventually(probe)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A quick one."""
    return Settings(
        state=tmp_path / "state",
        token=TOKEN,
        port=0,
        boot_s=0.05,
        install_s=0.0,
        action_s=0.05,
        detach_s=0.05,
        shutdown_grace_s=1.0,
        per_minute=0,
        key_lists_per_minute=0,
    )


@pytest.fixture
async def cloud(settings: Settings) -> AsyncIterator[LocalCloud]:
    async with running(settings) as cloud:
        yield cloud


@pytest.fixture
def api(cloud: LocalCloud, validator: Any) -> Api:
    return Api(cloud.url, validator)


# ---- droplets to log in to ----


@dataclass
class Login:
    """The keys of a droplet's user and of the droplet itself, and user-data that carries them."""

    client_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    def public(self) -> str:
        return self.client_key.export_public_key().decode().strip()

    def user_data(self, **more: Any) -> str:
        config = {
            "hostname": "box",
            "users": [{"name": "devpocket", "ssh_authorized_keys": [self.public()]}],
            "ssh_keys": {
                "ed25519_private": self.host_key.export_private_key().decode(),
                "ed25519_public": self.host_key.export_public_key().decode(),
            },
            **more,
        }
        return "#cloud-config\n" + yaml.safe_dump(config)

    def connect(self, address: str, **more: Any) -> Any:
        """A connection that verifies the host key."""
        return asyncssh.connect(
            address,
            2222,
            **{
                "username": "devpocket",
                "client_keys": [self.client_key],
                "config": None,
                "agent_path": None,
                "known_hosts": ([self.host_key.convert_to_public()], [], []),
                "encryption_algs": ["aes128-gcm@openssh.com"],
                **more,
            },
        )


HOME_MOUNT = ["/dev/disk/by-id/scsi-0DO_Volume_home", "/home/devpocket", "ext4", "defaults,nofail", "0", "2"]


@pytest.fixture
def login() -> Login:
    return Login()


@dataclass
class Box:
    """A droplet that is up."""

    id: int
    address: str
    login: Login
    disk: Path

    def connect(self, **more: Any) -> Any:
        return self.login.connect(self.address, **more)


async def boot(api: Api, state: Path, login: Login, *, user_data: str | None = None, **fields: Any) -> Box:
    """A new droplet, once it is active."""
    droplet_id = await api.create(user_data=user_data or login.user_data(), **fields)
    droplet = await api.until_status(droplet_id, "active")
    return Box(droplet_id, public_address(droplet), login, state / "droplets" / str(droplet_id))


def public_address(droplet: Any) -> str:
    return str(next(n["ip_address"] for n in droplet["networks"]["v4"] if n["type"] == "public"))


@pytest.fixture
async def box(api: Api, settings: Settings, login: Login) -> Box:
    return await boot(api, settings.state, login)


# ---- a process of its own ----


@dataclass
class Running:
    """A local cloud in a process."""

    process: asyncio.subprocess.Process
    api: Api
    banner: str

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(5):
            return await self.process.wait()


@asynccontextmanager
async def subprocess_cloud(settings: Settings, validator: Any = None, *more: str) -> AsyncIterator[Running]:
    """The command, started; killed at the end if it still runs."""
    # fmt: off
    command = [
        sys.executable, "-m", "environments.localcloud", "--listen", "127.0.0.1:0", "--state", str(settings.state),
        "--boot-seconds", str(settings.boot_s), "--install-seconds", str(settings.install_s),
        "--action-seconds", str(settings.action_s), "--detach-seconds", str(settings.detach_s),
        "--rate-limit-per-minute", "0", "--rate-limit-key-lists", "0", *more,
    ]
    # fmt: on
    environment = {**os.environ, "LOCALCLOUD_TOKEN": TOKEN, "SECRET_OF_THE_HOST": "do not leak"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=REPOSITORY, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        async with asyncio.timeout(10):
            banner = (await process.stdout.readline()).decode()
            ready = (await process.stdout.readline()).decode()
        assert ready.startswith("local cloud ready on http://127.0.0.1:"), (ready, await process.communicate())
        yield Running(process, Api(ready.split()[-1], validator), banner)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads the pipes to their end and closes them.
        await process.communicate()


def faster(settings: Settings, **changes: Any) -> Settings:
    """The settings with some changed."""
    return replace(settings, **changes)
