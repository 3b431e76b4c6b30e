"""The server ends, in an orderly way and without one, under an open terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.tests.web.browsing import GONE, PHONE, Visits
from devpocket.tests.web.people import machine_of, sign_up
from devpocket.tests.web.shells import open_shell


@pytest.fixture
def mortal(localcloud: LocalCloud, tmp_path: Path) -> Iterator[Server]:
    with Server.start(localcloud.client_url, tmp_path) as running:
        yield running


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_after_a_restart_it_is_the_same_screen(visits: Visits, mortal: Server, end: str) -> None:
    ann = await sign_up(mortal)
    machine = await machine_of(mortal, ann)
    visits.expect(GONE)
    page = await visits.open(PHONE, person=ann, url=mortal.url)
    shell = await open_shell(page, machine)
    await shell.run("x=kept; echo $x-shown", "^kept-shown$")
    await asyncio.to_thread(getattr(mortal.process, end))
    await page.keyboard.type("echo $x-typed")  # while nobody is there
    await asyncio.to_thread(mortal.restart)
    await page.keyboard.press("Enter")
    await shell.shows("^kept-typed$", limit_s=40)
    text = await shell.text()
    assert "kept-shown" in text
    assert text.count("-typed") == 2, "the line, and what it said, once"
    await expect(page.get_by_role("alert")).to_have_count(0)
