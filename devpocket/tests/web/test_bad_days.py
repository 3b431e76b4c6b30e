"""What goes wrong on a bad day: a sentence that says it, a way on, and the way works."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.tests.web.browsing import DESKTOP, PHONE, Visits
from devpocket.tests.web.people import PASSWORD, let_in, machine_of, sign_up
from devpocket.tests.web.shells import Shell, open_shell

STORAGE_IS_FULL = """
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
"""


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[LocalCloud, Server]]:
    """A cloud that may be broken, and its server."""
    with LocalCloud.start(tmp_path) as cloud, Server.start(cloud.client_url, tmp_path) as server:
        yield cloud, server


async def compose_lines(page: Page) -> None:
    await page.get_by_role("button", name="Terminal menu").click()
    await page.get_by_role("checkbox", name="Write lines in a field").check()
    await page.get_by_role("button", name="Close").click()


async def test_a_sign_in_that_ends_in_mid_typing_costs_nothing_that_was_typed(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    page = await visits.open(PHONE, person=ann)
    shell = await open_shell(page, machine)
    await compose_lines(page)
    line = page.get_by_role("textbox", name="Line to send")
    await line.fill("echo half-of-")
    # All devices are signed out, by another one.
    await asyncio.to_thread(server.ask, "POST", "/auth/logout", {"all": True}, token=ann.token)
    again = page.get_by_role("dialog", name="Your sign-in has ended")
    await expect(again).to_be_visible()
    await again.get_by_label("Password", exact=True).fill(PASSWORD)
    await again.get_by_role("button", name="Sign in", exact=True).click()
    await expect(again).to_be_hidden()
    await expect(line).to_have_value("echo half-of-")
    await line.press_sequentially("it")
    await line.press("Enter")
    await shell.shows("^half-of-it$")


async def test_a_machine_that_is_deleted_elsewhere_leads_back_to_the_list(visits: Visits, server: Server) -> None:
    visits.expect(r" 503 .*/sessions\)")  # asked just as the machine goes
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    terminal = await visits.open(DESKTOP, person=ann)
    overview = await visits.open(PHONE, f"/machines/{machine}", person=ann)
    await open_shell(terminal, machine)
    await expect(overview.get_by_role("heading", name="About this machine")).to_be_visible()
    await asyncio.to_thread(server.ask, "DELETE", f"/environments/{machine}", token=ann.token)
    await expect(overview.get_by_role("heading", name="This machine is deleted")).to_be_visible()
    await expect(terminal.get_by_role("alert")).to_contain_text(re.compile("isn't running|no such machine"))
    await overview.get_by_role("link", name="To your machines").click()
    await terminal.get_by_role("link", name=re.compile("To the machine|To your machines")).first.click()
    for page in (overview, terminal):
        home = page.get_by_role("link", name="To your machines")
        await expect(page.get_by_role("heading", name="No machine yet").or_(home)).to_be_visible()
        if await home.is_visible():
            await home.click()
        await expect(page.get_by_role("heading", name="No machine yet")).to_be_visible()


async def test_the_plans_limit_is_said_and_making_room_helps(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    page = await visits.open(PHONE, "/new", person=ann)
    await page.get_by_role("radio", name="Ubuntu").check()
    name = page.get_by_label("Name", exact=True)
    await name.fill("Second")
    first = await machine_of(server, ann)  # on another device, meanwhile
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("allows 1 at a time, and you have 1")
    await page.get_by_role("alert").get_by_role("link", name="To your machines").click()
    await page.get_by_role("link", name="First", exact=True).click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_label("Type “First” to delete it").fill("First")
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_role("heading", name="No machine yet")).to_be_visible()
    await asyncio.to_thread(gone, server, ann.token, first)
    await page.get_by_role("link", name="New machine").click()
    await expect(name).to_have_value("Second")  # nothing that was typed is lost
    await expect(page.get_by_role("radio", name="Ubuntu")).to_be_checked()
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="Second")).to_be_visible()


def gone(server: Server, token: str, machine: str) -> None:
    """Wait until it counts no more."""
    while server.ask("GET", f"/environments/{machine}", token=token).status_code != 404:
        pass


async def test_without_the_cloud_a_machine_is_waited_for_and_begun_as_soon_as_it_is_back(
    apart: tuple[LocalCloud, Server], visits: Visits
) -> None:
    cloud, server = apart
    ann = await sign_up(server)
    page = await visits.open(PHONE, "/new", person=ann, url=server.url)
    await page.get_by_role("radio", name="Ubuntu").check()
    cloud.misbehave("status", status=503, count=0)
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("The cloud doesn't answer right now; we keep trying")).to_be_visible()
    cloud.behave()
    await Shell(page).ready()


async def test_where_websockets_do_not_get_through_the_list_is_asked_for(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    page = await visits.open(PHONE, "/sign-in")
    is_open = False

    async def proxy(socket: WebSocketRoute) -> None:
        if is_open:
            socket.connect_to_server()
        else:
            await socket.close()

    await page.route_web_socket(re.compile("/api/v1/ws/"), proxy)
    await let_in(page.context, server.url, ann)
    await page.goto("/")
    notice = page.get_by_role("status").filter(has_text="doesn't let news through (WebSockets)")
    await expect(notice).to_be_visible()
    await expect(page.get_by_role("heading", name="First")).to_be_visible()
    rename = ("PATCH", f"/environments/{machine}", {"name": "Renamed"})
    await asyncio.to_thread(lambda: server.ask(*rename, token=ann.token))
    await notice.get_by_role("button", name="Read anew").click()
    await expect(page.get_by_role("heading", name="Renamed")).to_be_visible()
    await page.get_by_role("link", name="Open terminal").click()
    await expect(page.get_by_role("status").filter(has_text="No connection.")).to_be_visible()
    is_open = True
    await Shell(page).ready()  # it tries again by itself


async def test_a_full_storage_is_said_once_and_all_works(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    page = await visits.open(PHONE, "/settings/appearance", person=ann)
    await page.add_init_script(STORAGE_IS_FULL)
    await page.reload()
    toasts = page.locator(".toasts")
    for theme in ("dark", "light"):
        await page.get_by_label("Colours").select_option(theme)
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        if theme == "dark":
            await expect(toasts).to_contain_text("This browser doesn't keep settings")
            await toasts.get_by_role("button", name="Close").click()
    await expect(toasts).to_be_empty()
    shell = await open_shell(page, machine)
    await shell.run("echo $((6*7))", "^42$")


async def test_signing_out_in_one_tab_is_told_in_the_other_and_signing_in_too(visits: Visits, server: Server) -> None:
    ann = await sign_up(server)
    one = await visits.open(DESKTOP, "/settings", person=ann)
    other = await one.context.new_page()
    await other.goto("/")
    await expect(other.get_by_role("heading", name="No machine yet")).to_be_visible()
    await one.get_by_role("button", name="Sign out", exact=True).click()
    await expect(one.get_by_text("You are signed out.")).to_be_visible()
    await expect(other.get_by_text("You signed out in another tab.")).to_be_visible()
    await other.get_by_label("Username or email").fill(ann.username)
    await other.get_by_label("Password", exact=True).fill(PASSWORD)
    await other.get_by_role("button", name="Sign in", exact=True).click()
    await expect(other.get_by_role("heading", name="No machine yet")).to_be_visible()
    await expect(one.get_by_role("heading", name="No machine yet")).to_be_visible()
