"""A browser, and pages on the real server in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from devpocket.testing.server import Server
from devpocket.tests.web import browsing

HERE = Path(__file__).parent

expect.set_options(timeout=browsing.WAIT_S * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all of them: the browser lives in it from test to test. And time for two waits of WAIT_S."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(120))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all of a worker. Where there can't be one, tests are skipped; with BROWSER_TESTS=required they fail."""
    if missing := browsing.missing():
        why = f"the web client's tests need {' and '.join(missing)}"
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(why)
    async with browsing.started() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def visits(browser: Browser, server: Server) -> AsyncIterator[browsing.Visits]:
    """`visits.open(PHONE, "/settings", person=ann)`: a page, on which nothing may happen that shouldn't."""
    visits = browsing.Visits(browser, server.url)
    yield visits
    assert await visits.close() == []


@pytest.fixture(params=browsing.DEVICES)
def device(request: pytest.FixtureRequest) -> dict[str, Any]:
    return browsing.DEVICES[request.param]
