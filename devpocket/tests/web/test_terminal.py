"""The terminal in a browser: what is typed, composed and pasted, its size, and many of them."""

from __future__ import annotations

import hashlib
import random
import re
import string
from typing import Any

from playwright.async_api import Page, expect

from devpocket.testing.server import Server
from devpocket.tests.web.browsing import DESKTOP, PHONE, Visits
from devpocket.tests.web.people import machine_of, sign_up
from devpocket.tests.web.shells import Shell, open_shell

CLIPBOARD = ["clipboard-read", "clipboard-write"]
LETTERS = "abc XYZ 0189 ăâđêôơưĂÂĐÊÔƠƯ ếềểễệ ộ ữ naïve 日本語 🙂👍🏽🇻🇳👩‍💻 \\$`'\"%~"
TABS = 10


async def shell_of(visits: Visits, server: Server, device: dict[str, Any], **options: Any) -> Shell:
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    page = await visits.open(device, person=ann, **options)
    return await open_shell(page, machine)


async def stty_says(shell: Shell, size: tuple[int, int]) -> None:
    """Wait until the shell has this size: tmux learns of it a moment later than of what is typed."""
    rows, cols = size
    await shell.run(
        f"""until [ "$(stty size)" = "{rows} {cols}" ]; do sleep .05; done; echo {rows}"x"{cols}""", f"^{rows}x{cols}$"
    )


async def fits(page: Page) -> None:
    """The bar of keys is at the lower end of what is seen, the terminal above it, and nothing is scrolled."""
    bar = await page.get_by_role("toolbar").bounding_box()
    grid = await page.locator(".terminal-host").bounding_box()
    viewport = page.viewport_size
    assert bar, "no bar of keys"
    assert grid
    assert viewport
    assert 0 <= viewport["height"] - (bar["y"] + bar["height"]) < 2
    assert grid["y"] + grid["height"] <= bar["y"] + 1
    assert bar["width"] <= viewport["width"]
    assert await page.evaluate("[scrollX, scrollY, document.documentElement.scrollHeight - innerHeight]") == [0, 0, 0]


async def test_the_shell_has_the_size_that_is_seen_whichever_way_the_phone_is_held(
    visits: Visits, server: Server
) -> None:
    shell = await shell_of(visits, server, PHONE)
    page, seen = shell.page, []
    # Held upright, with its keyboard, on its side, and upright again.
    for width, height in ((390, 844), (390, 500), (844, 390), (390, 844)):
        await page.set_viewport_size({"width": width, "height": height})
        await expect(page.get_by_role("toolbar")).to_be_visible()
        size = await settled_size(page, shell, seen[-1] if seen else None)
        await stty_says(shell, size)
        await fits(page)
        seen.append(size)
    upright, typing, aside, again = seen
    assert typing[0] < upright[0]
    assert typing[1] == upright[1]
    assert aside[1] > upright[1]
    assert again == upright


async def settled_size(page: Page, shell: Shell, other: tuple[int, int] | None) -> tuple[int, int]:
    """The terminal's size, once it isn't the one before any more and fills its place."""
    await page.evaluate(
        """async (other) => {
          const host = document.querySelector(".terminal-host");
          while (`${[host.terminal.rows, host.terminal.cols]}` === `${other}`)
            await new Promise((resolve) => setTimeout(resolve, 20));
        }""",
        list(other) if other else None,
    )
    return await shell.size()


async def test_a_composed_line_arrives_as_it_was_written(visits: Visits, server: Server) -> None:
    shell = await shell_of(visits, server, PHONE)
    page = shell.page
    await shell.run('echo now; IFS= read -r line; printf %s "$line" | sha256sum', "^now$")
    await page.get_by_role("button", name="Terminal menu").click()
    await page.get_by_role("checkbox", name="Write lines in a field").check()
    await page.get_by_role("button", name="Close").click()
    field = page.get_by_role("textbox", name="Line to send")
    await field.fill(LETTERS)
    await page.get_by_role("button", name="Send with Enter").click()
    await shell.shows(f"^{hashlib.sha256(LETTERS.encode()).hexdigest()}")
    await expect(field).to_have_value("")


async def test_a_paste_of_100_kb_arrives_byte_for_byte(visits: Visits, server: Server) -> None:
    shell = await shell_of(visits, server, DESKTOP, permissions=CLIPBOARD)
    page, some = shell.page, random.Random(8)
    text = "".join("".join(some.choices(string.printable[:95], k=79)) + "\n" for _ in range(100_000 // 80))
    await page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    await shell.run("stty -echo; echo now; cat | sha256sum; stty echo", "^now$")
    await page.get_by_role("button", name="Terminal menu").click()
    await page.get_by_role("button", name="Paste").click()
    # `cat` takes each line break for Enter, as a shell would: it is asked for.
    await page.get_by_role("button", name="Paste them").click()
    await expect(page.get_by_role("textbox", name="Terminal input")).to_be_focused()
    await page.keyboard.press("Control+d")
    await shell.shows(f"^{hashlib.sha256(text.encode()).hexdigest()}", limit_s=45)


async def test_ten_tabs_are_ten_shells(visits: Visits, server: Server) -> None:
    shell = await shell_of(visits, server, DESKTOP)
    page, tabs = shell.page, shell.page.get_by_role("navigation", name="Sessions")
    await shell.run("n=1; echo this is $n", "^this is 1$")
    for number in range(2, TABS + 1):
        await page.get_by_role("button", name="New session").click()
        await page.get_by_role("dialog").get_by_role("button", name="Open").click()
        await shell.ready()
        await shell.run(f"n={number}; echo this is $n", f"^this is {number}$")
    buttons = tabs.get_by_role("button", name=re.compile(r"^(main|shell-\d+)$"))
    await expect(buttons).to_have_count(TABS)
    for number in (1, TABS, 2, 5):
        await buttons.nth(number - 1).click()
        await shell.run("echo still $n", f"^still {number}$")
        assert (await shell.text()).count("this is ") == 2
