"""What may import what (style.md, sections 1 and 2): a pure module that learns to reach the network is a bug."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ["devpocket", "accounts", "templates_catalog", "environments", "terminals"]  # each may import those before it
# Wiring: these put the apps together.
WIRING = {"devpocket/asgi.py", "devpocket/urls.py", "devpocket/management/commands/develop.py"}
WIRING |= {"devpocket/benchmarks/side_by_side.py"}  # its rows
FRAMEWORKS = {"django", "rest_framework", "adrf", "channels", "asyncssh", "requests"}

SERVICES = {"rest_framework", "channels", "asyncssh", "requests", "environments.cloud"}
FORBIDDEN: list[tuple[str, set[str]]] = [
    ("environments/cloud/*.py", {"django", "rest_framework", "channels", "asyncssh", "environments.models"}),
    ("environments/ssh.py", {"django", "rest_framework", "channels", "requests"}),
    ("environments/localcloud/*.py", {*FRAMEWORKS - {"asyncssh"}, *APPS} - {"environments"}),
    ("*/models.py", {"rest_framework", "channels", "asyncssh", "requests"}),
    ("*/services.py", SERVICES),
    ("*/selectors.py", SERVICES),
    ("*/api/*.py", {"asyncssh", "requests", "environments.cloud.client"}),
    ("*/admin.py", {"asyncssh", "requests", "environments.cloud"}),
    ("terminals/consumers.py", {"asyncssh", "requests", "environments.cloud"}),
    ("terminals/typing_socket.py", {"asyncssh", "requests", "environments.cloud"}),
    ("environments/provisioner.py", {"rest_framework", "environments.api", "terminals"}),
    ("terminals/hub.py", {"rest_framework", "channels", "terminals.consumers"}),
    ("terminals/stream.py", {"django", "rest_framework", "channels", "terminals.hub"}),
    ("terminals/*socket*.py", {"asyncssh", "requests", "environments.cloud"}),
]
PURE = ["environments/lifecycle.py", *(f"terminals/{name}.py" for name in ("protocol", "replay", "replayed", "modes"))]
PURE += [f"terminals/{name}.py" for name in ("keys", "limits", "asciicast")]


def sources(pattern: str) -> list[Path]:
    found = sorted(path for path in ROOT.glob(pattern) if "tests" not in path.parts)
    assert found, f"no file matches {pattern}"
    return found


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that the file imports, and each of its beginnings: a.b.c gives a, a.b, a.b.c."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: length + 1]) for length in range(len(parts)))


@pytest.mark.parametrize(("pattern", "banned"), FORBIDDEN)
def test_layer_imports(pattern: str, banned: set[str]) -> None:
    assert {
        str(path.relative_to(ROOT)): found for path in sources(pattern) if (found := banned & set(imported(path)))
    } == {}


@pytest.mark.parametrize("pattern", PURE)
def test_pure_modules_need_the_standard_library_and_what_reaches_nothing(pattern: str) -> None:
    [path] = sources(pattern)
    assert {name.split(".")[0] for name in imported(path)} <= {*sys.stdlib_module_names, "orjson"}


@pytest.mark.parametrize("app", APPS)
def test_apps_import_one_way(app: str) -> None:
    above = set(APPS[APPS.index(app) + 1 :])
    offenders = {
        name: found
        for path in sources(f"{app}/**/*.py")
        if (name := str(path.relative_to(ROOT))) not in WIRING and (found := above & set(imported(path)))
    }
    assert offenders == {}


def test_views_and_consumers_leave_queries_to_services() -> None:
    paths = [
        path
        for pattern in ("*/api/*.py", "terminals/*consumer*.py", "terminals/*socket*.py")
        for path in sources(pattern)
    ]
    assert [str(path.relative_to(ROOT)) for path in paths if ".objects." in path.read_text()] == []
