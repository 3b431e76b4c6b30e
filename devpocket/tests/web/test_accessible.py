"""axe-core on every screen, on a phone and a desktop, dark and light: nothing that WCAG 2.2 (AA) forbids.

Not every device with every theme: what is where doesn't depend on the colours, nor they on the place.
"""

from __future__ import annotations

from typing import Any

import pytest

from devpocket.testing.server import Server
from devpocket.tests.web import screens
from devpocket.tests.web.browsing import PHONE, Visits, axe
from devpocket.tests.web.people import machine_of, sign_up

GROUPS = {
    "signed out": screens.SIGNED_OUT,
    "no machine": screens.NO_MACHINE,
    "machines": screens.MACHINES,
    "settings": screens.SETTINGS,
    "terminal": screens.TERMINAL,
}


@pytest.mark.parametrize("group", GROUPS)
async def test_axe_finds_nothing(visits: Visits, server: Server, device: dict[str, Any], group: str) -> None:
    ann = None if group == "signed out" else await sign_up(server)
    machine = await machine_of(server, ann) if ann and group in ("machines", "terminal") else ""
    page = await visits.open(device, person=ann)
    found = []
    for screen in GROUPS[group]:
        await screens.go_to(page, screen, machine)
        for theme in ("light", "dark") if device is PHONE else ("light",):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            found += [f"{screen.name}, {theme}: {one}" for one in await axe(page)]
    assert not found, "\n".join(found)


async def test_axe_would_find_something(visits: Visits) -> None:
    """The page's policy lets it in, and it looks at what is seen."""
    page = await visits.open({}, "/sign-in")
    await page.get_by_role("heading").wait_for()
    await page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"data:,\"><input>')")
    assert {one.partition(":")[0] for one in await axe(page)} >= {"image-alt", "label"}
