"""Every screen there is: how to come to it, and when it is there."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import Page

from devpocket.tests.web.shells import Shell

Step = Callable[[Page], Awaitable[object]]


@dataclass(frozen=True)
class Screen:
    """`path`: `{machine}` in it is a running machine's id. `there`: it is complete when this is seen. `is_shown`: it
    has its picture in the documentation."""

    name: str
    path: str
    there: Step
    steps: tuple[Step, ...] = ()
    is_shown: bool = True


def heading(name: str) -> Step:
    return lambda page: page.get_by_role("heading", name=name, exact=True).first.wait_for()


def text(words: str) -> Step:
    return lambda page: page.get_by_text(words).first.wait_for()


def either(*words: str) -> Step:
    return lambda page: page.get_by_text(re.compile("|".join(words))).first.wait_for()


def press(name: str) -> Step:
    return lambda page: page.get_by_role("button", name=name).first.click()


def shell() -> Step:
    return lambda page: Shell(page).ready()


SIGNED_OUT = [
    Screen("sign-in", "/sign-in", heading("Sign in")),
    Screen("sign-in-refused", "/sign-in", text("This is needed."), (press("Sign in"),), is_shown=False),
    Screen("sign-up", "/sign-up", heading("Create an account")),
    Screen("sign-up-refused", "/sign-up", text("This is needed."), (press("Create an account"),), is_shown=False),
    Screen("forgot", "/forgot", heading("A new password")),
    Screen("guest-link-broken", "/t", text("This link is not whole")),
]
NO_MACHINE = [
    Screen("machines-none", "/", heading("No machine yet")),
    Screen("new-machine", "/new", text("What for?")),
    Screen("verify", "/verify", heading("Is this your email?")),
    Screen("not-here", "/machines/none", heading("There is nothing here")),
]
MACHINES = [
    Screen("machines", "/", text("Running")),
    Screen("new-machine-limit", "/new", text("as many machines as your plan allows"), is_shown=False),
    Screen("machine", "/machines/{machine}", heading("About this machine")),
    Screen("machine-delete", "/machines/{machine}", text("Delete for good"), (press("Delete"),)),
    Screen("machine-metrics", "/machines/{machine}/metrics", text("Open terminals")),
    Screen("machine-logs", "/machines/{machine}/logs", text("Live, at most")),
    Screen("machine-events", "/machines/{machine}/events", text("Creation asked for")),
    Screen("machine-snapshots", "/machines/{machine}/snapshots", text("No snapshot yet")),
    Screen(
        "machine-sharing", "/machines/{machine}/sharing", either("Nobody has opened a terminal", "open now, last used")
    ),
    Screen("machine-settings", "/machines/{machine}/settings", heading("Name and description")),
]
SETTINGS = [
    Screen("settings", "/settings", heading("Settings")),
    *(
        Screen(f"settings-{page}", f"/settings/{page}", heading(title))
        for page, title in {
            "profile": "Profile",
            "password": "Password",
            "sessions": "Where you are signed in",
            "keys": "SSH keys",
            "terminal": "Terminal",
            "appearance": "Appearance and language",
            "account": "Account",
            "about": "About",
        }.items()
    ),
]
TERMINAL = [
    Screen("terminal", "/machines/{machine}/terminal", shell()),
    Screen("terminal-menu", "/machines/{machine}/terminal", text("How to use it"), (shell(), press("Terminal menu"))),
    Screen(
        "terminal-new-session",
        "/machines/{machine}/terminal",
        text("Each session is a shell"),
        (shell(), press("New session")),
    ),
]


async def go_to(page: Page, screen: Screen, machine: str = "") -> None:
    await page.goto(screen.path.format(machine=machine))
    for step in screen.steps:
        await step(page)
    await screen.there(page)
