"""`make web-screenshots`: every screen on a phone and a desktop, light and dark, into docs/screenshots."""

from __future__ import annotations

import asyncio
import sys

from playwright.async_api import Page

from devpocket.testing.processes import ROOT
from devpocket.tests.web import screens
from devpocket.tests.web.browsing import DEVICES
from devpocket.tests.web.by_hand import World, world
from devpocket.tests.web.people import Person, machine_of, sign_up
from devpocket.tests.web.shells import open_shell

PICTURES = ROOT / "docs" / "screenshots"
QUALITY = 50  # all of them together stay under 3 MB


async def take(page: Page, screen: screens.Screen, machine: str, device: str) -> None:
    await screens.go_to(page, screen, machine)
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await page.screenshot(
            path=PICTURES / f"{screen.name}-{device}-{theme}.jpg", type="jpeg", quality=QUALITY, animations="disabled"
        )


async def take_all(made: World, device: str, wanted: list[str]) -> None:
    """`wanted`: names; all, where there are none."""
    options = {**DEVICES[device], "device_scale_factor": 1}
    ben, ann = await sign_up(made.server, "ben"), await sign_up(made.server, "ann")
    machine = await machine_of(made.server, ann, "pocket")
    groups: list[tuple[list[screens.Screen], Person | None]] = [
        (screens.SIGNED_OUT, None),
        (screens.NO_MACHINE, ben),
        (screens.MACHINES + screens.SETTINGS + screens.TERMINAL, ann),
    ]
    for group, person in groups:
        page = await made.visits.open(options, person=person)
        if person is ann:
            shell = await open_shell(page, machine)
            await shell.run("mkdir -p notes src && echo 'print(6 * 7)' >src/answer.py && echo made", "^made$")
            await shell.run("ls -l --color=always; cat src/answer.py; echo; uname -sr; echo $((6*7))", "^42$")
        for screen in group:
            if screen.is_shown and (not wanted or screen.name in wanted):
                await take(page, screen, machine, device)


async def main(wanted: list[str]) -> None:
    PICTURES.mkdir(exist_ok=True)
    if not wanted:
        for old in PICTURES.glob("*.jpg"):
            old.unlink()
    async with world() as made:
        for device in DEVICES:
            await take_all(made, device, wanted)
    taken = list(PICTURES.glob("*.jpg"))
    sys.stdout.write(f"{len(taken)} pictures, {sum(one.stat().st_size for one in taken) // 1024} KiB in {PICTURES}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
