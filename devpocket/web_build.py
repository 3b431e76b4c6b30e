"""Build the web client: `python3 -m devpocket.web_build [--optional | --check]`. Standard library only.

With the node and npm on PATH, where they are new enough; else with those that PyPI has, in .node. Nothing is done while
the sources are those of the last build. `--optional`: what goes wrong is told in one line, and is no failure.
`--check`: then its lint, types and tests as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from devpocket.bootstrap import INSTALL_TRIES, ROOT, VENV, Missing

WEB = ROOT / "devpocket" / "web"
OWN_NODE = ROOT / ".node"
REQUIREMENTS = ROOT / "requirements-web.txt"
MADE = {"dist", "node_modules"}  # not sources
# Of what npm itself tries again, less than its five minutes for each package: without a network somebody waits here.
NPM_SETTINGS = {
    "npm_config_fetch_timeout": "60000",
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "5000",
    "npm_config_update_notifier": "false",
}


def sources_hash(web: Path) -> str:
    """Of all files' names and contents."""
    digest = hashlib.sha256()
    for path in sorted(_sources(web)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(web)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(web: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(web):
        if Path(directory) == web:
            below[:] = [name for name in below if name not in MADE]
        yield from (Path(directory, name) for name in names)


def is_new_enough(version: str) -> bool:
    """Whether Vite runs on the node of this version, as v22.12.0. Source: `engines` in vite 8's package.json."""
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return (20, 19) <= release < (21, 0) or release >= (22, 12)


def node_path(*, is_quiet: bool) -> str:
    """A PATH on which there are a node that is new enough, and npm. Raises: Missing."""
    path = os.environ.get("PATH", os.defpath)
    node = shutil.which("node")
    if node is not None and shutil.which("npm") is not None:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        if is_new_enough(asked.stdout):
            return path
    ensure_own_node(is_quiet=is_quiet)
    return f"{OWN_NODE / 'bin'}{os.pathsep}{path}"


def ensure_own_node(*, is_quiet: bool) -> None:
    """The node that PyPI has, in a virtual environment of its own: it can be thrown away. Raises: Missing."""
    stamp, wanted = OWN_NODE / ".installed", REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("installing node ...", flush=True)  # noqa: T201 -- talks to the person who typed make
    shutil.rmtree(OWN_NODE, ignore_errors=True)
    make = [sys.executable, "-m", "venv", "--without-pip", str(OWN_NODE)]
    _run(make, "python3 can't make a virtual environment", is_quiet=is_quiet)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--python", str(OWN_NODE / "bin" / "python"), "install", "-q"]
    install = [*pip, "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    why = "there is no node of 20.19 or newer with npm, and none could be installed from PyPI"
    _run(install, why, tries=INSTALL_TRIES, is_quiet=is_quiet)
    stamp.write_text(wanted)


def npm_environment(*, is_quiet: bool = False) -> dict[str, str]:
    """Raises: Missing."""
    return {**os.environ, **NPM_SETTINGS, "PATH": node_path(is_quiet=is_quiet)}


def ensure_built(*, is_quiet: bool = False) -> None:
    """Build it, unless that was done already from these sources. `is_quiet`: npm says nothing. Raises: Missing."""
    stamp, wanted = WEB / "dist" / ".sources", sources_hash(WEB)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("building the web client ...", flush=True)  # noqa: T201
    environment = npm_environment(is_quiet=is_quiet)
    # Nothing that comes with a package is run but what the build calls; and what it needs is called a development's.
    install = ["npm", "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    lock, installed = (WEB / "package-lock.json").read_bytes(), WEB / "node_modules" / ".installed"
    if not installed.exists() or installed.read_bytes() != lock:
        _run(install, "npm ci failed", tries=INSTALL_TRIES, is_quiet=is_quiet, cwd=WEB, environment=environment)
        installed.write_bytes(lock)
    _run(["npm", "run", "build"], "npm run build failed", is_quiet=is_quiet, cwd=WEB, environment=environment)
    stamp.write_text(wanted)


def _run(
    command: list[str],
    why: str,
    *,
    tries: int = 1,
    is_quiet: bool = False,
    cwd: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> None:
    """Raises: Missing with `why`, when the last try has failed too."""
    for attempt in range(1, tries + 1):
        program = shutil.which(command[0], path=(environment or os.environ).get("PATH")) or command[0]
        said = subprocess.DEVNULL if is_quiet else None
        done = subprocess.run([program, *command[1:]], cwd=cwd, env=environment, stdout=said, stderr=said, check=False)  # noqa: S603
        if done.returncode == 0:
            return
        if attempt < tries:
            time.sleep(3 * attempt)  # package indexes fail for a moment now and then
    raise Missing(why)


def main(arguments: list[str]) -> int:
    is_optional = "--optional" in arguments
    failed = "could not be built"
    try:
        ensure_built(is_quiet=is_optional)
        if "--check" in arguments:
            failed = "is not as it should be"
            _run(["npm", "run", "check"], "npm run check failed", cwd=WEB, environment=npm_environment())
    except (Missing, OSError) as error:
        hint = " (`make web` shows why; all else runs without it)" if is_optional else ""
        print(f"devpocket: the web client {failed}: {error}{hint}", file=sys.stderr)  # noqa: T201
        return 0 if is_optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
