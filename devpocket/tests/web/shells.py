"""The terminal on a page: what it shows, and how somebody types into it."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Page

from devpocket.tests.web.browsing import WAIT_S

# The terminal that is seen, as text: lines that were too long for the screen are whole again.
_SHOWN = """
const shown = () => {
  const host = [...document.querySelectorAll(".terminal-host")].find((one) => one.offsetParent !== null);
  const lines = [];
  if (!host?.terminal) return "";
  const { active } = host.terminal.buffer;
  for (let row = 0; row < active.length; row++) {
    const line = active.getLine(row);
    // A line that goes on in the next one has the blanks at its end.
    const text = line.translateToString(active.getLine(row + 1)?.isWrapped !== true);
    if (line.isWrapped && row > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  return lines.join("\\n").trimEnd();
};
"""
# A function, and not an expression that is waited for: the page's policy forbids to evaluate one.
_WAIT = f"""async ([pattern, limitMs]) => {{
  {_SHOWN}
  const wanted = new RegExp(pattern, "m");
  const giveUpAt = performance.now() + limitMs;
  while (!wanted.test(shown())) {{
    if (performance.now() > giveUpAt) return shown();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }}
  return null;
}}"""


class Shell:
    """The terminal that the page shows, or is about to."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def text(self) -> str:
        return str(await self.page.evaluate(f"() => {{ {_SHOWN} return shown(); }}"))

    async def shows(self, pattern: str, *, limit_s: float = WAIT_S) -> None:
        """Wait until a line fits the pattern (JavaScript's; ^ and $ are a line's ends). Raises: AssertionError."""
        shown = await self.page.evaluate(_WAIT, [pattern, limit_s * 1000])
        assert shown is None, f"{pattern!r} was not shown, but:\n{shown}"

    async def ready(self) -> None:
        """There is a prompt."""
        await self.shows(r"[$#] ?$")

    async def type(self, text: str) -> None:
        """As a phone's keyboard does: a text comes, and no key."""
        await self.page.keyboard.insert_text(text)

    async def run(self, line: str, expected: str | None = None) -> None:
        """Type a command line, and wait for a line that fits `expected`."""
        if expected is not None:
            assert not re.search(expected, line, re.MULTILINE), "the command itself would do"
        await self.page.keyboard.type(line)
        await self.page.keyboard.press("Enter")
        if expected is not None:
            await self.shows(expected)

    async def size(self) -> tuple[int, int]:
        """Its own: rows and columns."""
        found: list[Any] = await self.page.evaluate(
            """() => {
              const host = [...document.querySelectorAll(".terminal-host")].find((one) => one.offsetParent !== null);
              return [host.terminal.rows, host.terminal.cols];
            }"""
        )
        return found[0], found[1]


async def open_shell(page: Page, machine: str, session: str = "") -> Shell:
    """Go to the machine's terminal, by its address, and wait for its prompt."""
    await page.goto(f"/machines/{machine}/terminal" + (f"?session={session}" if session else ""))
    shell = Shell(page)
    await shell.ready()
    return shell
