"""A world to break things in: a local cloud, and several server processes on one database."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import requests

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server

PASSWORD = "Correct-Horse-7"
ASK_LIMIT_S = 120.0  # how long a request is repeated while servers are down


class World:
    """`ask` goes to whichever server answers. All environments belong to one operator with no limits."""

    def __init__(self, cloud: LocalCloud, servers: list[Server], state: Path) -> None:
        self.cloud, self.servers, self.state = cloud, servers, state
        self.token = ""

    @classmethod
    @contextmanager
    def start(
        cls, directory: Path, *cloud_options: str, processes: int = 2, proxy: str = "", **settings: str
    ) -> Iterator[World]:
        """`cloud_options`: of the local cloud. `settings`: of the servers."""
        with ExitStack() as stack:
            cloud = stack.enter_context(LocalCloud.start(directory, *cloud_options))
            places = [directory / f"server-{number}" for number in range(processes)]
            for place in places:
                place.mkdir()
            wanted = {"ADMIN_ENVIRONMENTS": "100000", "ACCESS_TOKEN_SECONDS": "86400", "METRICS_SECONDS": "0"}
            first = stack.enter_context(Server.start(proxy or cloud.url, places[0], **{**wanted, **settings}))
            servers = [first]
            for place in places[1:]:
                servers.append(first.sibling(place))
                stack.callback(_kill, servers[-1])
            world = cls(cloud, servers, directory / "state")
            world._sign_in()
            yield world

    def _sign_in(self) -> None:
        subprocess.run(
            [
                sys.executable,
                "manage.py",
                "createsuperuser",
                "--noinput",
                "--username",
                "op",
                "--email",
                "op@a.example",
            ],
            cwd=ROOT,
            env={**os.environ, **self.servers[0].environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
        answer = self.ask("POST", "/auth/login", {"username_or_email": "op", "password": PASSWORD})
        self.token = str(answer.json()["access_token"])

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> requests.Response:
        """One request, repeated at another server while the first is down. Raises: AssertionError."""
        give_up_at = time.monotonic() + ASK_LIMIT_S
        sent = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        while True:
            server = random.choice(self.servers)
            try:
                answer = requests.request(method, f"{server.url}/api/v1{path}", json=body, headers=sent, timeout=30)
                if answer.status_code < 500:
                    return answer
                trouble = f"{answer.status_code} {answer.text[:200]}"
            except requests.RequestException as error:
                trouble = type(error).__name__
            assert time.monotonic() < give_up_at, f"{method} {path}: {trouble}"
            time.sleep(0.1)


def _kill(server: Server) -> None:
    """The process that it has by then: it may have been started again."""
    server.process.kill()


class Beside(ABC):
    """Something that goes on in a thread while the context lasts: `turn` again and again, after `pause` seconds."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.pause()):
            self.turn()

    def pause(self) -> float:
        return 0.25

    @abstractmethod
    def turn(self) -> None: ...


class Killer(Beside):
    """Ends servers by SIGKILL at random moments, and starts them again."""

    def __init__(self, world: World, *, pause_s: tuple[float, float], down_s: tuple[float, float]) -> None:
        super().__init__()
        self.world, self.pause_s, self.down_s = world, pause_s, down_s
        self.kills = 0

    def pause(self) -> float:
        return random.uniform(*self.pause_s)

    def turn(self) -> None:
        server = random.choice(self.world.servers)
        server.process.kill()
        self.kills += 1
        time.sleep(random.uniform(*self.down_s))
        server.restart()


class Watcher(Beside):
    """Looks at the cloud all the time: more than one droplet or volume of an environment is a finding."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.findings: set[str] = set()
        self.looks = 0

    def turn(self) -> None:
        for kind in ("droplets", "volumes"):
            tags = self.tags(kind)
            self.findings |= {f"{kind} doubled: {tag}" for tag in tags if tags.count(tag) > 1}
        self.looks += 1

    def tags(self, kind: str) -> list[str]:
        """Whose each of them is, by its tag."""
        query = "tag_name=devpocket&" if kind == "droplets" else ""
        found, page = [], 1
        while True:
            answer = self.world.cloud.ask("GET", f"/v2/{kind}?{query}per_page=200&page={page}")
            found += [tag for one in answer[kind] for tag in one["tags"] if tag.startswith("dp-env-")]
            if len(found) >= answer["meta"]["total"] or not answer[kind]:
                return found
            page += 1

    def left_over(self) -> dict[str, list[str]]:
        """What is still there, of anybody."""
        snapshots = self.world.cloud.ask("GET", "/v2/snapshots?per_page=200")["snapshots"]
        return {
            "droplets": self.tags("droplets"),
            "volumes": self.tags("volumes"),
            "snapshots": [snapshot["name"] for snapshot in snapshots],
        }
