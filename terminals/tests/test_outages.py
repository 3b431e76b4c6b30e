"""PostgreSQL and Redis out of a server's reach, and back: what goes on, what is refused, and what is left of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.server import Server
from terminals.tests.homes import Home, act, refusal, settled
from terminals.tests.phone import Phone, eventually

NEEDED = ("DATABASE_URL", "REDIS_URL")
TRY_AGAIN = (["service_unavailable"], 1013, "try again later")

pytestmark = [
    pytest.mark.skipif(not all(os.environ.get(name) for name in NEEDED), reason="needs PostgreSQL and Redis"),
    pytest.mark.timeout(120),
]


@dataclass
class Road:
    """Between the server and what it needs. `url`: of that, by this road."""

    proxy: CuttingProxy
    url: str
    is_open: bool = True

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Road]:
        parts, roads = urlsplit(url), []
        port = parts.port or {"redis": 6379}.get(parts.scheme, 5432)
        async with CuttingProxy.start(lambda: Fate(port=port if not roads or roads[0].is_open else 1)) as proxy:
            user = f"{parts.username}@" if parts.username else ""
            here = proxy.url.removeprefix("http://")
            roads.append(cls(proxy, parts._replace(netloc=f"{user}{here}").geturl()))
            yield roads[0]

    def close(self) -> None:
        self.is_open = False
        self.proxy.cut_all()


@dataclass
class Far:
    """A server with a road to each of its stores, and a user with a terminal's worth of machine."""

    server: Server
    home: Home
    database: Road
    cache: Road

    async def status(self, method: str, path: str) -> int:
        answer = await asyncio.to_thread(self.server.ask, method, path, token=self.home.token)
        if answer.status_code == 503:
            assert answer.json()["code"] == "service_unavailable"
            assert answer.headers["Retry-After"] == str(answer.json()["retry_after"])
        return answer.status_code

    def answers(self, method: str, path: str, status: int) -> Callable[[], object]:
        async def does() -> bool:
            return await self.status(method, path) == status

        return does


@pytest.fixture
async def far(server: Server, tmp_path: Path) -> AsyncIterator[Far]:
    home = await settled(server)
    environment = server.environment
    async with (
        Road.to(environment["DATABASE_URL"]) as database,
        Road.to(environment["REDIS_URL"]) as cache,
    ):
        environment |= {"DATABASE_URL": database.url, "REDIS_URL": cache.url}
        made = await asyncio.to_thread(Server, environment, tmp_path)
        try:
            yield Far(made, home, database, cache)
        finally:
            await asyncio.to_thread(made.process.stop)
    assert "Traceback" not in made.process.output()
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def test_without_the_database_terminals_go_on(far: Far) -> None:
    async with Phone.in_use(far.server, far.home.environment_id, far.home.token) as phone:
        await phone.run("kept=$$; echo before-$((1+1))", "before-2")
        far.database.close()
        assert await far.status("GET", "/auth/me") == 503
        assert await refusal(far.server, far.home.environment_id, f"token={far.home.token}") == TRY_AGAIN
        await phone.run("echo meanwhile-$((1+1))", "meanwhile-2")
        far.database.is_open = True
        await eventually(far.answers("GET", "/auth/me", 200))
        await phone.run('[ "$kept" = "$$" ] && echo after-$((1+1))', "after-2")
    async with Phone.in_use(far.server, far.home.environment_id, far.home.token) as phone:
        await phone.run('[ "$kept" = "$$" ] && echo again-$((1+1))', "again-2")


async def test_without_redis_all_but_tickets_goes_on(far: Far) -> None:
    async with Phone.in_use(far.server, far.home.environment_id, far.home.token) as phone:
        await phone.run("kept=$$; echo before-$((1+1))", "before-2")
        far.cache.close()
        await phone.run("echo meanwhile-$((1+1))", "meanwhile-2")
        assert await far.status("GET", "/environments") == 200
        assert await far.status("POST", "/ws/tickets") == 503
        async with Phone.in_use(far.server, far.home.environment_id, far.home.token) as other:
            await other.run('[ "$kept" = "$$" ] && echo same-$((1+1))', "same-2")
        far.cache.is_open = True
        await eventually(far.answers("POST", "/ws/tickets", 201))
        await phone.run('[ "$kept" = "$$" ] && echo after-$((1+1))', "after-2")
