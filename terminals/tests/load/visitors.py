"""Requests of the API at a steady rate, by a process of its own, so that it holds up nobody who types."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any

import orjson
import uvloop

from terminals.tests.load.http_client import FAILED, Answer, HttpClient

LIMIT_S = 60
# Of a hundred requests. What phones ask for when they are opened, looked at, and now and then a change.
MIX = {
    ("GET", "/auth/me"): 24,
    ("GET", "/environments/"): 30,
    ("GET", "/environments/{id}"): 18,
    ("GET", "/templates/"): 10,
    ("GET", "/environments/{id}/metrics"): 5,
    ("GET", "/environments/{id}/events"): 3,
    ("GET", "/users/me/sessions"): 2,
    ("PATCH", "/environments/{id}"): 5,
    ("PUT", "/users/me"): 2,
    ("POST", "/ws/tickets"): 1,
}


@dataclass(frozen=True, slots=True)
class Visit:
    """`at`: when it was due, time.monotonic. `took_s`: from then to the answer. `status`: 0 where none came."""

    at: float
    took_s: float
    what: str
    status: int
    is_well_refused: bool  # in the contract's shape, with Retry-After
    text: str  # of what went wrong
    is_second: bool = False  # on a new connection, since the kept one closed just then


@dataclass(frozen=True, slots=True)
class Resident:
    """A user with an environment."""

    token: str
    environment_id: str


class Visitors:
    """`start`, and when it is over `stop`, which gives all visits."""

    def __init__(self, url: str, residents: Sequence[Resident], rate_per_s: float) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._stop = spawning.Event()
        self._results: Any = spawning.Queue()
        self._process = spawning.Process(
            target=_visit_all, args=(url, list(residents), rate_per_s, self._stop, self._results), daemon=True
        )

    def start(self) -> None:
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> list[Visit]:
        self._stop.set()
        visits: list[Visit] = self._results.get(timeout=LIMIT_S + 30)
        self._process.join()
        return visits


def _visit_all(url: str, residents: list[Resident], rate_per_s: float, stop: Event, results: Any) -> None:
    results.put(uvloop.run(_visit_until(stop, HttpClient(url), residents, rate_per_s)))


async def _visit_until(stop: Event, client: HttpClient, residents: list[Resident], rate_per_s: float) -> list[Visit]:
    """Nobody waits for who came before: however late answers are, as many requests come."""
    visits: list[Visit] = []
    kinds, weights = list(MIX), list(MIX.values())

    async def visit(due_at: float, kind: tuple[str, str], resident: Resident) -> None:
        visits.append(await _visit(client, due_at, kind, resident))

    async with asyncio.TaskGroup() as visiting:
        due_at = time.monotonic()
        while not stop.is_set():
            due_at += random.expovariate(rate_per_s)  # people don't come in step
            await asyncio.sleep(due_at - time.monotonic())
            visiting.create_task(visit(due_at, random.choices(kinds, weights)[0], random.choice(residents)))
    return visits


async def _visit(client: HttpClient, due_at: float, kind: tuple[str, str], resident: Resident) -> Visit:
    method, path = kind
    body = {"PATCH": {"description": f"Since {due_at}"}, "PUT": {"full_name": f"Ann {due_at:.0f}"}}.get(method)
    status, is_well_refused, text, is_second = 0, False, "", False
    try:
        async with asyncio.timeout(LIMIT_S):
            answer = await client.ask(
                method,
                f"/api/v1{path.format(id=resident.environment_id)}",
                {"Authorization": f"Bearer {resident.token}", "Content-Type": "application/json"},
                b"" if body is None else orjson.dumps(body),
            )
        status, is_second = answer.status, answer.is_second
        if status >= 400:
            text = answer.body.decode(errors="replace")[:300]
            is_well_refused = _is_well_refused(answer)
    except FAILED as error:  # TimeoutError is one of them
        text = f"{type(error).__name__}: {error}"[:300]
    return Visit(due_at, time.monotonic() - due_at, f"{method} {path}", status, is_well_refused, text, is_second)


def _is_well_refused(answer: Answer) -> bool:
    """503 as the contract wants it (section 2.2)."""
    try:
        body = orjson.loads(answer.body)
    except ValueError:
        return False
    return bool(
        answer.status == 503
        and body.get("code") in ("service_unavailable", "cloud_error")
        and str(body.get("retry_after")) == answer.headers.get("retry-after")
    )
