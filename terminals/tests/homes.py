"""Users with environments on the real server, and what their phones are told."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server
from terminals.tests.phone import Phone

NOBODY = str(uuid.UUID(int=4, version=4))
VARIABLES = {
    "PLAIN": "hello",
    "QUOTES": 'it\'s "quoted" `id` $(id)',
    "DOLLAR": "$HOME ${PATH} \\n \\",
    "MANY_LINES": "one\ntwo\n\nthree ",
    "WORDS": "  spaced\tout * ? [a] ; & | > < # !",
    "LETTERS": "naïve 日本語 🙂",
}
IMPORTS = "from environments.models import Environment, EnvironmentEvent"  # of what manage() does
numbers = itertools.count(1)


@dataclass
class Home:
    """A signed-up user with an environment."""

    token: str
    refresh_token: str
    environment_id: str


async def settle(server: Server, **fields: Any) -> Home:
    """A new user, whose environment is being made."""

    def ask() -> Home:
        name = f"tenant{next(numbers)}"
        body = {"username": name, "email": f"{name}@example.org", "password": "Correct-Horse-7"}
        answer = server.ask("POST", "/auth/register", body)
        assert answer.status_code == 201, answer.text
        signed_up = answer.json()
        environment_id = server.create(signed_up["access_token"], "Home", **fields)
        return Home(signed_up["access_token"], signed_up["refresh_token"], environment_id)

    return await asyncio.to_thread(ask)


async def settled(server: Server, **fields: Any) -> Home:
    """A new user with a running environment."""
    home = await settle(server, **fields)
    await asyncio.to_thread(server.wait_for, home.token, home.environment_id, "running", limit_s=20)
    return home


async def act(server: Server, home: Home, method: str, path: str, token: str | None = None) -> int:
    answer = await asyncio.to_thread(server.ask, method, path, token=token or home.token)
    return answer.status_code


def manage(server: Server, code: str) -> None:
    """Do it in a process with the server's settings and database, for what no API of ours does."""
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", f"{IMPORTS}\n{code}"],
        cwd=ROOT,
        env={**os.environ, **server.environment},
        check=True,
        timeout=60,
    )


async def shell_size(phone: Phone, cols: int, rows: int) -> None:
    """Wait until the shell has this size: tmux learns of it a moment later than of what is typed."""
    number = next(numbers)  # a redraw shows older lines again
    line = f'until [ "$(stty size)" = "{rows} {cols}" ]; do sleep .05; done; echo right-"{number}":'
    await phone.run(line, f"right-{number}:")


REFUSED = {
    "authentication_failed": (["authentication_failed"], 1008, "Authentication failed"),
    "environment_not_found": (["environment_not_found"], 1008, "Environment not found"),
    "environment_not_running": (["environment_not_running"], 1008, "Environment not running"),
    "too_many_connections": (["too_many_connections"], 1008, "Too many connections"),
}


async def refusal(server: Server, environment_id: str, query: str = "", **options: Any) -> tuple[list[str], int, str]:
    """What a refused client is told: the codes of its frames, the close code and reason."""
    async with Phone.at(server, environment_id, query, **options) as phone:
        code, reason = await phone.until_closed()
        return [frame["code"] for frame in phone.frames], code, reason


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))
