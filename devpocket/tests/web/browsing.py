"""Browsers of the tests: which one, what it may complain about, and pages that are watched."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from devpocket.testing.processes import ROOT
from devpocket.tests.web.people import Person, let_in

WAIT_S = 30  # CI has several browsers on two cores
PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WEB = ROOT / "devpocket" / "web"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
DEVICES = {"phone": PHONE, "desktop": DESKTOP}

# A refusal of the API is for the page to show; that the browser notes it too is no fault.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
# What a browser says of a network or a server that is gone.
GONE = (
    r"Failed to load resource: (net::ERR_|the server responded with a status of 50\d)|WebSocket connection to .* failed"
)


# Without a graphics processor it would be emulated, slowly; the terminal draws by elements then, as on many phones.
ARGUMENTS = ["--disable-3d-apis"]


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def missing() -> list[str]:
    """What has to be there before a page can be looked at, in words."""
    return [
        *([] if chromium() else ["Chromium (Debian: chromium)"]),
        *([] if (WEB / "dist" / "index.html").exists() and AXE.exists() else ["the web client's build (make web)"]),
    ]


class Visits:
    """The pages of a test, each in a browser of its own, which holds what nobody else's does.

    All that they do and mustn't is remembered: errors, policy violations, requests to other hosts. `expect()` names
    what a test brings about itself.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._contexts: list[BrowserContext] = []
        self._expected: list[re.Pattern[str]] = []
        self._found: list[str] = []

    async def open(
        self, device: dict[str, Any], path: str = "/", *, person: Person | None = None, url: str = "", **options: Any
    ) -> Page:
        """A page of somebody who is signed in, or of nobody. `url`: where the server is, if not where all others are.

        Options go to Playwright's new_context().
        """
        context = await self._browser.new_context(
            base_url=url or self._url, locale="en-GB", timezone_id="UTC", **{**device, **options}
        )
        context.set_default_timeout(WAIT_S * 1000)
        self._contexts.append(context)
        self._watch(context, urlsplit(url or self._url).netloc)
        if person is not None:
            await let_in(context, url or self._url, person)
        page = await context.new_page()
        await page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        self._expected.append(re.compile(pattern))

    async def close(self) -> list[str]:
        """Leave them all; what was wrong."""
        for context in self._contexts:
            await context.close()
        return [one for one in self._found if not any(pattern.search(one) for pattern in self._expected)]

    def _watch(self, context: BrowserContext, host: str) -> None:
        def address(url: str) -> None:
            parts = urlsplit(url)
            if parts.scheme not in ("data", "blob") and parts.netloc != host:
                self._found.append(f"a request to another host: {url}")

        def page(page: Page) -> None:
            page.on("crash", lambda _: self._found.append("the page crashed"))
            page.on("websocket", lambda socket: address(socket.url))

        context.on("page", page)
        context.on("request", lambda request: address(request.url))
        context.on("weberror", lambda error: self._found.append(f"uncaught: {error.error}"))
        context.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        path = urlsplit(message.location["url"]).path
        is_refusal = REFUSED.match(message.text) and path.startswith("/api/v1/")
        if message.type in ("error", "warning") and not is_refusal:
            self._found.append(f"console {message.type}: {message.text} ({path})")


@asynccontextmanager
async def started() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


async def axe(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is now: rule, element and why.

    It comes in through the debugger, which the page's own policy doesn't bind.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())  # 600 kB, to be compiled
    found = await page.evaluate(
        """async () => (await axe.run(document, {resultTypes: ["violations"],
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})).violations
            .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.target}: ${node.failureSummary}`))"""
    )
    return list(found)
