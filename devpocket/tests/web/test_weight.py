"""What a first visit costs over the network. How long it takes on a phone's: devpocket/benchmarks/web_visit.py."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.async_api import Page, Request, expect

from devpocket.testing.server import Server
from devpocket.tests.web.browsing import PHONE, Visits
from devpocket.tests.web.people import PASSWORD, machine_of, sign_up

LIMIT_BYTES = 250_000  # compressed, before a terminal is opened
SMALL_BYTES = 1000  # not worth compressing
ASSETS = "/static/web/assets/"


def finished(page: Page) -> list[Request]:
    """Whatever comes from now on."""
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))
    return requests


def path_of(request: Request) -> str:
    return urlsplit(request.url).path


async def test_before_a_terminal_little_is_fetched_and_that_is_compressed(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    await machine_of(server, ann)
    page = await visits.open(PHONE, "/api/v1/info")
    requests = finished(page)
    await page.goto("/sign-in")
    await page.get_by_label("Username or email").fill(ann.username)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("link", name="Open terminal")).to_be_visible()
    sizes = {path_of(one): (await one.sizes())["responseBodySize"] for one in requests}
    assert any(path.startswith(ASSETS) for path in sizes)
    assert sum(sizes.values()) <= LIMIT_BYTES, sizes
    for one in requests:
        response = await one.response()
        if response and path_of(one).endswith((".js", ".css")) and sizes[path_of(one)] > SMALL_BYTES:
            assert response.headers.get("content-encoding") == "br", one.url
    assert not [path for path in sizes if re.search("xterm|addon|frame", path)], "the terminal's"


async def test_no_file_of_the_first_screen_is_only_found_in_another(visits: Visits) -> None:
    """Each that is costs a round trip. So does what is asked of the API before anything is shown."""
    page = await visits.open(PHONE, "/api/v1/info")
    requests = finished(page)
    answer = await page.goto("/sign-in")
    assert answer
    html = await answer.text()
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assets = [path_of(one) for one in requests if path_of(one).startswith(ASSETS)]
    assert assets
    assert [path for path in assets if path not in html] == []
    asked = [path_of(one) for one in requests if one.resource_type == "fetch"]
    assert set(asked) <= {"/api/v1/web/refresh", "/api/v1/info"}
