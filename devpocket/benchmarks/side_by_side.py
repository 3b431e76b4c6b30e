"""GET /auth/me and GET /environments (20 rows) beside a minimal FastAPI + SQLAlchemy service.

    python -m devpocket.benchmarks.side_by_side --postgres URL --redis URL --fastapi-python VENV/bin/python

Each service is one process under uvicorn, on the same database with the same tokens. They are asked in turn, round by
round, and compared within a round: the machine's moods come and go. Prints the medians of the rounds, and ratios to
FastAPI's. `--other DIRECTORY` has another checkout of ours take part, to compare a change with what was before. More:
docs/development.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"GET /auth/me": "/api/v1/auth/me", "GET /environments": "/api/v1/environments"}
ROWS = 20
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_LIMIT_S = 60
MOMENT = ("usd_month_to_date",)  # goes on between two questions


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used so far, all its threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Round:
    cpu_ms: float  # of the service, a request
    per_s: float
    p50_ms: float
    p99_ms: float


@contextmanager
def database(postgres: str) -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    name = f"side_by_side_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def settings_for(database_url: str, redis_url: str) -> dict[str, str]:
    """As in production, with limits that nobody reaches and a cloud that isn't there."""
    return {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "FIELD_ENCRYPTION_KEYS": secrets.token_urlsafe(32),
        "PUBLIC_URL": "https://devpocket.example.org",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "EMAIL_URL": "smtp://127.0.0.1:1",
        "DO_API_URL": "http://127.0.0.1:1",
        "DO_TOKEN": secrets.token_hex(32),
        "THROTTLE_SCALE": "1000000",
        "LOG_LEVEL": "INFO",
    }


def filled(environment: dict[str, str]) -> str:
    """Migrate, and make a user with their environments; an access token of theirs."""
    for command in (["migrate", "-v0"], ["import_templates"]):
        subprocess.run(  # noqa: S603
            [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    script = "from devpocket.benchmarks.side_by_side import rows; rows()"
    made = subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", "shell", "-v0", "-c", script],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return made.stdout.split()[-1]


def rows() -> None:
    """Runs in a process of ours (manage.py shell)."""
    from accounts.services import Device, user_register
    from environments.models import Environment

    signed_in = user_register(
        username="bench", email="bench@example.org", password=secrets.token_urlsafe(12) + "aA1", device=Device()
    )
    for number in range(ROWS):
        Environment.objects.create(
            owner=signed_in.user,
            template_id=("python", "nodejs", "react", "flutter")[number % 4],
            name=f"Project {number}",
            slug=f"project-{number}",
            region="nyc3",
            size="s-1vcpu-1gb",
            image="ubuntu-24-04-x64",
            price_usd_per_hour=0.00893,
            memory_mb=1024,
            vcpus=1,
            disk_gb=25,
            storage_size_gb=10,
            environment_variables={"DEBUG": "true", "DATABASE_URL": "postgres://127.0.0.1/app"},
            phase="running",
            progress=100,
            installation_completed=True,
            droplet_id=400_000_000 + number,
            volume_id=str(uuid.uuid4()),
            cpu_percent=3.5,
            memory_percent=41.2,
            storage_percent=17.0,
            billing_usd_per_hour=0.01042,
            host_public_key="ssh-ed25519 unused",
            host_private_key="unused",
            next_step_at=None,
        )
    print(signed_in.tokens.access)  # noqa: T201


@contextmanager
def served(
    name: str, python: str, arguments: list[str], *, directory: Path, environment: dict[str, str]
) -> Iterator[Service]:
    port = _free_port()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603
            [python, *arguments],
            cwd=directory,
            env={**environment, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, process)
            yield Service(name, process, port)
        except BaseException:
            output.seek(0)
            print(output.read()[-4000:].decode(errors="replace"), file=sys.stderr)  # noqa: T201
            raise
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    import socket

    give_up_at = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("a service did not start")


async def _client(port: int, request: bytes, requests: int, took_ms: list[float]) -> bytes:
    """One keep-alive connection, one request after the other; the last body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b""
    for _ in range(requests):
        began = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        if b"content-length:" in head:
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(None, 1)[0]))
        else:
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        took_ms.append((time.perf_counter() - began) * 1000)
    writer.close()
    return body


async def ask(service: Service, path: str, token: str, *, clients: int, requests: int) -> tuple[Round, Any]:
    """`requests` in all, shared out among the clients; and the last answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    took_ms: list[float] = []
    cpu_s, began = service.cpu_s(), time.perf_counter()
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        each = requests // clients
        tasks = [group.create_task(_client(service.port, request, each, took_ms)) for _ in range(clients)]
    whole_s, cpu_s = time.perf_counter() - began, service.cpu_s() - cpu_s
    done = len(took_ms)
    p99_ms = statistics.quantiles(took_ms, n=100)[98]
    return Round(cpu_s / done * 1000, done / whole_s, statistics.median(took_ms), p99_ms), json.loads(tasks[0].result())


def without_moment(answer: Any) -> Any:
    if isinstance(answer, list):
        return [without_moment(item) for item in answer]
    if isinstance(answer, dict):
        return {key: without_moment(value) for key, value in answer.items() if key not in MOMENT}
    return answer


async def measure(services: list[Service], token: str, options: argparse.Namespace) -> None:
    for what, path in PATHS.items():
        found: dict[str, list[Round]] = {service.name: [] for service in services}
        answers = []
        for service in services:  # also warms them up
            _, answer = await ask(service, path, token, clients=options.clients, requests=200)
            answers.append(without_moment(answer))
        if any(answer != answers[0] for answer in answers):
            sys.exit(f"{what}: the services don't give the same answer")
        for number in range(options.rounds):
            order = services if number % 2 else services[::-1]
            for service in order:
                measured, _ = await ask(service, path, token, clients=options.clients, requests=options.requests)
                found[service.name].append(measured)
        tell(what, found)


def tell(what: str, found: dict[str, list[Round]]) -> None:
    lines = [f"{what}: CPU ms a request | requests/s per core | p50 ms | p99 ms (ratios to FastAPI within a round)"]
    for name, rounds in found.items():
        columns = []
        for key in ("cpu_ms", "p50_ms", "p99_ms"):
            value = statistics.median(getattr(one, key) for one in rounds)
            base = found["fastapi"]
            ratios = [getattr(one, key) / getattr(other, key) for one, other in zip(rounds, base, strict=True)]
            columns.append(f"{value:7.2f} (x{statistics.median(ratios):4.2f})")
        per_core = 1000 / statistics.median(one.cpu_ms for one in rounds)
        lines.append(f"  {name:8} {columns[0]} | {per_core:6.0f} | {columns[1]} | {columns[2]}")
    print("\n".join(lines), flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", required=True, help="a database of a server on which others may be made")
    parser.add_argument("--redis", required=True)
    parser.add_argument("--fastapi-python", required=True, help="of a virtual environment with FastAPI (see the docs)")
    parser.add_argument("--other", type=Path, help="another checkout of ours, with a .venv of its own")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=800, help="of each service in a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with ExitStack() as stack:
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
            **settings_for(stack.enter_context(database(options.postgres)), options.redis),
        }
        token = filled(environment)
        services = [
            stack.enter_context(
                served("fastapi", options.fastapi_python, ["-m", "devpocket.benchmarks.fastapi_service"],
                       directory=ROOT, environment=environment)
            )
        ]  # fmt: skip
        for name, directory in (("ours", ROOT), ("other", options.other)):
            if directory is not None:
                python = sys.executable if directory == ROOT else str(directory / ".venv/bin/python")
                services.append(
                    stack.enter_context(
                        served(name, python, ["manage.py", "serve"], directory=directory, environment=environment)
                    )
                )
        asyncio.run(measure(services, token, options))


if __name__ == "__main__":
    main()
