"""From nothing to a shell: signing up, the code from the mail, a machine, its terminal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.tests.web.browsing import WAIT_S, Visits
from devpocket.tests.web.people import PASSWORD, mails_to
from devpocket.tests.web.shells import Shell


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("outbox"))


@pytest.fixture(scope="module")
def strict(localcloud: LocalCloud, outbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants addresses verified, and whose mails can be read."""
    settings = {"REQUIRE_EMAIL_VERIFICATION": "true", "EMAIL_URL": f"filemail:///{outbox}"}
    with Server.start(localcloud.client_url, tmp_path_factory.mktemp("strict"), **settings) as running:
        yield running


async def code_for(outbox: Path, address: str) -> str:
    """The six digits in the newest mail to the address, once it is there."""
    async with asyncio.timeout(WAIT_S):
        while not (mails := mails_to(outbox, address)):  # noqa: ASYNC110 -- a mail tells nobody that it has come
            await asyncio.sleep(0.05)
    found = re.search(r"(?m)\b(\d{6})\b", mails[-1])
    assert found, mails[-1]
    return found[1]


async def test_from_signing_up_to_a_shell(
    visits: Visits, strict: Server, outbox: Path, device: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    username = f"new-{request.node.callspec.id}"
    page = await visits.open(device, "/", url=strict.url)
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Email").fill(f"{username}@example.org")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create an account").click()

    code = page.get_by_label("Code from the email")
    await expect(code).to_be_visible()
    await code.fill(await code_for(outbox, f"{username}@example.org"))

    await expect(page.get_by_role("heading", name="No machine yet")).to_be_visible()
    await page.get_by_role("link", name="New machine").click()
    await page.get_by_role("radio", name="Ubuntu").check()
    await page.get_by_role("button", name="Create").click()

    await expect(page.get_by_role("progressbar").first).to_be_visible()
    shell = Shell(page)  # it opens by itself
    await shell.ready()
    await shell.run("echo $((6*7))", "42$")  # a line that is as long as the screen is wide seems to go on in the next

    # And it is there the next time.
    await page.goto("/")
    await page.get_by_role("link", name="Open terminal").click()
    await shell.shows("42$")
