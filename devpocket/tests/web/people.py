"""Users of the web client, and how their browsers come to be signed in."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext

from devpocket.testing.server import Server

PASSWORD = "Correct-Horse-7"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    username: str
    token: str  # of another device of theirs: the browsers' are in the browsers

    @property
    def email(self) -> str:
        return f"{self.username}@example.org"


async def sign_up(server: Server, name: str = "ann") -> Person:
    """A new user; each has a name of their own."""
    username = f"{name}{next(_numbers)}"
    return Person(username, await asyncio.to_thread(server.sign_up, username))


async def machine_of(server: Server, person: Person, name: str = "First", **fields: Any) -> str:
    """A running machine of theirs; its id."""
    made = await asyncio.to_thread(lambda: server.create(person.token, name, **fields))
    await asyncio.to_thread(server.wait_for, person.token, made, "running")
    return made


async def let_in(context: BrowserContext, url: str, person: Person) -> None:
    """Sign the browser in: it has the cookie afterwards, as if the form had been sent."""
    answer = await context.request.post(
        f"{url}/api/v1/web/login",
        data={"username_or_email": person.username, "password": PASSWORD},
        headers={"X-DevPocket-Web": "1"},
    )
    assert answer.status == 200, await answer.text()


def mails_to(outbox: Path, address: str) -> list[str]:
    """The texts of all mails to the address, oldest first."""
    found = []
    for file in sorted(outbox.glob("*.log"), key=lambda file: file.stat().st_mtime_ns):
        for part in file.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
            mail = message_from_bytes(part, policy=policy.default)
            if address in str(mail["To"]) and (body := mail.get_body(("plain",))):
                found.append(body.get_content())
    return found
