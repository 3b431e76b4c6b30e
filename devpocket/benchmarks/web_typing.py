"""What the page adds to a terminal's lag: `python -m devpocket.benchmarks.web_typing`.

Somebody types into a shell in Chromium. Printed are percentiles of what the page itself measures
(devpocket/web/src/terminal/measure.ts): from a key's event to its frame being sent, and from a frame that comes to the
screen that shows it. Beside them the echo: from the key to the screen, with the network of this host in between.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from playwright.async_api import Page

from devpocket.tests.web.browsing import DEVICES
from devpocket.tests.web.by_hand import world
from devpocket.tests.web.people import machine_of, sign_up
from devpocket.tests.web.shells import open_shell

KEYS = 400
PAUSE_MS = 60  # 200 words a minute
WORDS = "the quick brown fox jumps over the lazy dog "
MEASURES = ("terminal:key", "terminal:draw")


def percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49]:6.1f} ms   p95 {cuts[94]:6.1f} ms   p99 {cuts[98]:6.1f} ms   ({len(values)} times)"


async def measured(page: Page, name: str) -> list[float]:
    found = await page.evaluate("(name) => performance.getEntriesByName(name).map((one) => one.duration)", name)
    return list(found)


async def measure(page: Page, what: str) -> None:
    await page.evaluate("(names) => names.forEach((name) => performance.clearMeasures(name))", list(MEASURES))
    text = (WORDS * (KEYS // len(WORDS) + 1))[:KEYS]
    await page.keyboard.type(text, delay=PAUSE_MS)
    for name in MEASURES:
        sys.stdout.write(f"{what:<26} {name:<14} {percentiles(await measured(page, name))}\n")


async def main() -> None:
    async with world() as made:
        for device, options in DEVICES.items():
            ann = await sign_up(made.server)
            machine = await machine_of(made.server, ann)
            page = await made.visits.open(options, person=ann)
            shell = await open_shell(page, machine)
            await measure(page, f"{device}, at a prompt")
            await page.keyboard.press("Control+c")
            await shell.run("while :; do date; sleep .05; done & cat >/dev/null")
            await measure(page, f"{device}, while lines come")


if __name__ == "__main__":
    asyncio.run(main())
