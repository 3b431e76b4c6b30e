"""docs/settings.md: `python -m devpocket.settings_table > docs/settings.md`.

Names, types, defaults and limits are what settings.py asks for; the words are those of .env.example.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devpocket.env import Variable

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Settings

All come from the environment, or from `.env` beside `manage.py` for what the environment leaves out. An empty one
counts as not set. `NAME_FILE=/run/secrets/name` gives any of them by a file and wins over `NAME`. Lists have commas.

Those in **bold** must be set in production (`DEBUG` off). What is missing, can't be understood or is weak stops the
start with one sentence and status 1. `.env.example` is a file to start from; `manage.py doctor` tries what is set.

This file is written by `python -m devpocket.settings_table`, and a test holds it against the code.
"""


@dataclass(frozen=True)
class Example:
    """A setting in .env.example. `text` is the comment above it, `value` what it is set to, also where it is left out
    by a #."""

    section: str
    name: str
    value: str
    text: str


def production() -> dict[str, str]:
    """The least that production needs, with secrets of its own."""
    return {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "FIELD_ENCRYPTION_KEYS": secrets.token_urlsafe(48),
        "PUBLIC_URL": "https://devpocket.example.org",
        "ALLOWED_HOSTS": "devpocket.example.org",
        "DATABASE_URL": "postgres://devpocket@127.0.0.1/devpocket",
        "REDIS_URL": "redis://127.0.0.1",
        "EMAIL_URL": "smtp+tls://127.0.0.1",
        "DO_TOKEN": secrets.token_hex(32),
    }


def examples() -> Iterator[Example]:
    section, comment = "", list[str]()
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line.startswith("# --- "):
            section, comment = line.removeprefix("# --- ").split(",")[0], []
        elif found := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=(.*)", line):
            yield Example(section, found[1], found[2], " ".join(comment))
            comment = []
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))


def asked() -> dict[str, Variable]:
    """What settings.py asks for in production, by name. Changes os.environ, so only in a process of its own."""
    for name in [name for name in os.environ if name != "PATH"]:
        del os.environ[name]
    os.environ.update(production(), DOTENV=os.devnull)
    from devpocket import settings

    return settings.env.asked


def shown_default(value: Any) -> str:
    """As a person would write it into a file; "" for none."""
    if value in (None, "", [], {}) and value is not False and value != 0:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value).replace(f"{ROOT}/", "")


def table(variables: dict[str, Variable]) -> str:
    """Raises: KeyError, for a name in .env.example that settings.py doesn't ask for."""
    lines, section = [HEAD], ""
    for example in examples():
        if example.section != section:
            section = example.section
            lines.append(f"\n## {section}\n\n| setting | type | default | what it is |\n| --- | --- | --- | --- |\n")
        variable = variables[example.name]
        name = f"**`{variable.name}`**" if variable.is_required else f"`{variable.name}`"
        kind = f"{variable.type}, {variable.limits}" if variable.limits else variable.type
        default = shown_default(variable.default)
        lines.append(f"| {name} | {kind} | {f'`{default}`' if default else ''} | {example.text} |\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(asked()))
