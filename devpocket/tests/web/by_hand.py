"""A browser, a server and a local cloud for what is run by hand: pictures and measurements."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.tests.web import browsing


@dataclass(frozen=True)
class World:
    server: Server
    visits: browsing.Visits


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Ended afterwards. Raises: SystemExit where something is missing, AssertionError for what a page mustn't do."""
    if missing := browsing.missing():
        raise SystemExit(f"missing: {' and '.join(missing)}")
    os.environ |= {"DATABASE_URL": "", "REDIS_URL": ""}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="devpocket-web-")))
        cloud = stack.enter_context(LocalCloud.start(directory))
        server = stack.enter_context(Server.start(cloud.client_url, directory))
        async with browsing.started() as browser:
            visits = browsing.Visits(browser, server.url)
            yield World(server, visits)
            problems = await visits.close()
    assert not problems, problems
