"""From a fresh clone to something that runs: `python3 -m devpocket.bootstrap [--dev]`. Standard library only.

Makes .venv, installs the pinned requirements (again when they change) and writes .env where there is none.
It must be readable by Pythons too old for the rest, to be able to say so.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
INSTALL_TRIES = 4


class Missing(Exception):
    """Something that can't be installed from here; its text says what to do."""


def check_machine() -> None:
    """Raises: Missing."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, here = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:3]))
        raise Missing(
            f"Python {wanted} or newer is needed; {sys.executable} is {here}. Try: make PYTHON=python3.12 run"
        )
    if shutil.which("tmux") is None:
        raise Missing("tmux is missing, and the terminals live in it. Try: apt install tmux (or: brew install tmux)")


def ensure_venv(requirements: Path) -> None:
    """Create .venv and install what `requirements` pins, unless that was done already. Raises: Missing."""
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ROOT.glob("requirements*.txt")))).hexdigest()
    stamp = VENV / f".installed-{requirements.stem}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not (VENV / "bin" / "python").exists():
        print("making .venv ...", flush=True)  # noqa: T201 -- talks to the person who typed make
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=subprocess.DEVNULL, check=False).returncode:  # noqa: S603
            shutil.rmtree(VENV, ignore_errors=True)
            raise Missing("python3 can't make a virtual environment. Try: apt install python3-venv")
    install = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not sys.dont_write_bytecode:
        install.append("--no-compile")  # half of pip's time; a quarter of the files is ever imported, and compiled then
    for attempt in range(1, INSTALL_TRIES + 1):
        print(f"installing {requirements.name} ...", flush=True)  # noqa: T201
        if subprocess.run([*install, "-r", str(requirements)], check=False).returncode == 0:  # noqa: S603
            stamp.write_text(wanted)
            return
        if attempt < INSTALL_TRIES:
            time.sleep(3 * attempt)  # package indexes fail for a moment now and then
    raise Missing(f"{requirements.name} could not be installed; pip's message is above")


def ensure_dotenv(path: Path) -> None:
    """Write settings for development with secrets of their own, where there is no such file. Readable by its owner."""
    if path.exists():
        return
    text = f"""\
# Settings for development, written by `make run`. Real environment variables win. All of them: .env.example
DEBUG=true
SECRET_KEY={secrets.token_urlsafe(48)}
JWT_SIGNING_KEY={secrets.token_urlsafe(48)}
FIELD_ENCRYPTION_KEYS={secrets.token_urlsafe(32)}
DO_TOKEN={secrets.token_urlsafe(24)}
DROPLET_SSH_PORT=2222
REQUIRE_EMAIL_VERIFICATION=false
DEVPOCKET_ADMIN_PASSWORD={secrets.token_urlsafe(12)}
"""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def main(arguments: list[str]) -> int:
    try:
        check_machine()
        ensure_venv(ROOT / ("requirements-dev.txt" if "--dev" in arguments else "requirements.txt"))
        ensure_dotenv(ROOT / ".env")
    except Missing as missing:
        print(f"devpocket: {missing}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
