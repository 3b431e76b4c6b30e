"""A first visit on a phone's network, of 1.6 Mbit/s and 150 ms: `python -m devpocket.benchmarks.web_visit`.

Printed is when the page can be used, and what was fetched for it: nothing is in the browser's cache. The processor is
this host's.
"""

from __future__ import annotations

import asyncio
import sys
import time

from playwright.async_api import Page, Request, expect

from devpocket.tests.web.browsing import PHONE
from devpocket.tests.web.by_hand import World, world
from devpocket.tests.web.people import Person, machine_of, sign_up
from devpocket.tests.web.shells import Shell

BYTES_PER_S = 1_600_000 / 8
LATENCY_MS = 150
VISITS = 5


async def slow(page: Page) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    limits = {"offline": False, "latency": LATENCY_MS}
    limits |= {"downloadThroughput": BYTES_PER_S, "uploadThroughput": BYTES_PER_S}
    await session.send("Network.emulateNetworkConditions", limits)


async def visit(made: World, person: Person | None, machine: str) -> dict[str, tuple[float, int]]:
    """Seconds until each of what somebody sees one after the other, and the bytes that had come until then."""
    # A service worker's requests would not be slowed down, and on a first visit it comes too late to help.
    page = await made.visits.open(PHONE, "/api/v1/info", person=person, service_workers="block")
    await slow(page)
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))
    found: dict[str, tuple[float, int]] = {}
    began = time.monotonic()

    async def note(what: str) -> None:
        seconds = time.monotonic() - began
        found[what] = seconds, sum([(await one.sizes())["responseBodySize"] for one in requests])

    await page.goto("/", wait_until="commit")
    if person is None:
        await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_enabled()
        await note("the sign-in form")
        await page.context.close()
        return found
    link = page.get_by_role("link", name="Open terminal")
    await expect(link).to_be_visible()
    await note("the machines")
    await link.click()
    await Shell(page).ready()
    await note("a shell, after a press")
    await page.context.close()
    return found


async def main() -> None:
    async with world() as made:
        made.visits.expect("Service Worker registration blocked")
        ann = await sign_up(made.server)
        machine = await machine_of(made.server, ann)
        results: dict[str, list[tuple[float, int]]] = {}
        for _ in range(VISITS):
            for person in (None, ann):
                for what, seen in (await visit(made, person, machine)).items():
                    results.setdefault(what, []).append(seen)
        for what, seen in results.items():
            times = sorted(seconds for seconds, _ in seen)
            sys.stdout.write(
                f"{what:<24} {times[len(times) // 2]:5.2f} s (at most {times[-1]:.2f})   {seen[0][1]:7} bytes\n"
            )


if __name__ == "__main__":
    asyncio.run(main())
