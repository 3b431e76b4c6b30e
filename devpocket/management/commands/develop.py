"""manage.py develop: everything for a first session, in one command (`make run`): database, local cloud, server.

Ctrl-C ends all of it, the server first; the next start finds environments, droplets and volumes as they were.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.services import admin_ensure
from devpocket.bootstrap import Missing, check_machine
from devpocket.logs import logging_config

VAR = settings.BASE_DIR / "var"
START_LIMIT_S = 30
STOP_LIMIT_S = 15
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


class Command(BaseCommand):
    help = "Run the server with a local cloud: no account anywhere is needed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--boot-seconds", type=float, default=2.0, help="how long the local cloud's droplets boot")

    def handle(self, *args: Any, **options: Any) -> None:
        logging_config(json=False, level="WARNING")  # the person at the terminal reads this; logs go to files
        self.port = settings.PORT
        self.cloud_port = settings.LOCALCLOUD_PORT
        if not settings.DEBUG:
            raise CommandError("this is for development: DEBUG is off. Production: docs/operations.md")
        try:
            check_machine()
        except Missing as missing:
            raise CommandError(str(missing)) from missing
        _check_port_free(self.port, "PORT")
        if settings.USES_LOCALCLOUD:
            _check_port_free(self.cloud_port, "LOCALCLOUD_PORT")
        for directory in (VAR / "log", VAR / "outbox"):
            directory.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0)
        call_command("import_templates", stdout=io.StringIO())
        password = self._admin()
        children: dict[str, subprocess.Popen[bytes]] = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            if settings.USES_LOCALCLOUD:
                children["local cloud"] = self._start_localcloud(options["boot_seconds"])
            children["server"] = self._start_server()
            self.stdout.write(self._banner(password))
            self.stdout.flush()
            self._watch(children)
        except KeyboardInterrupt:
            self.stdout.write("\nstopping ...")
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # one Ctrl-C is enough; the clean-up is not interrupted
            for child in reversed(children.values()):
                _stop(child)

    def _admin(self) -> str:
        """Make the first operator, once; the password, unless it was changed since."""
        password = settings.DEVPOCKET_ADMIN_PASSWORD
        if not password:
            raise CommandError("DEVPOCKET_ADMIN_PASSWORD is not set. Take it from .env.example, or remove .env.")
        admin_ensure(username="admin", password=password)
        is_current = get_user_model().objects.get(username="admin").check_password(password)
        return password if is_current else "(not the one in DEVPOCKET_ADMIN_PASSWORD any more)"

    def _start_localcloud(self, boot_seconds: float) -> subprocess.Popen[bytes]:
        arguments = ["localcloud", "--listen", f"127.0.0.1:{self.cloud_port}", "--state", str(VAR / "localcloud")]
        arguments += ["--ssh-port", str(settings.DROPLET_SSH_PORT), "--boot-seconds", str(boot_seconds)]
        log = VAR / "log" / "localcloud.log"
        child = _start(arguments, log=log, LOCALCLOUD_TOKEN=settings.DO_TOKEN)
        return _wait_until_up(child, f"http://127.0.0.1:{self.cloud_port}/", "the local cloud", log)

    def _start_server(self) -> subprocess.Popen[bytes]:
        log = VAR / "log" / "server.log"
        child = _start(["serve", "--port", str(self.port)], log=log, SHUTDOWN_SPREAD_SECONDS="0")
        return _wait_until_up(child, f"http://127.0.0.1:{self.port}/health/live", "the server", log)

    def _watch(self, children: dict[str, subprocess.Popen[bytes]]) -> NoReturn:
        """Until Ctrl-C. Raises: CommandError, when one of them ends by itself."""
        while True:
            for name, child in children.items():
                if (status := child.poll()) is not None:
                    raise CommandError(f"the {name} has ended (status {status}); its last words are in {VAR / 'log'}")
            time.sleep(0.5)

    def _banner(self, password: str) -> str:
        base = f"http://127.0.0.1:{self.port}"
        return f"""
DevPocket runs.   Ctrl-C stops it; environments, droplets and volumes stay.

  address     {base}
  API docs    {base}/docs
  admin       {base}/admin/   name: admin   password: {password}
  mails       {VAR / "outbox"}
  logs        {VAR / "log"}

A first session, to be pasted into another terminal, in this directory:

{example(self.port)}

{_in_a_browser(base)}
"""


def _in_a_browser(base: str) -> str:
    if (settings.WEB_CLIENT / "index.html").exists():
        return f"Or in a browser:  {base}/"
    return "Or in a browser: the web client isn't built yet, `make web` builds it."


def example(port: int) -> str:
    """Five lines of shell: sign up, look, create, watch, connect. README.md has the same."""
    api = f"http://127.0.0.1:{port}/api/v1"
    json_header = "-H 'Content-Type: application/json'"
    register = '"{\\"username\\":\\"$U\\",\\"email\\":\\"$U@example.org\\",\\"password\\":\\"Pocket-Dev-1\\"}"'
    take_token = ".venv/bin/python -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])'"  # noqa: S105 -- a command
    return "\n".join(
        [
            f"U=me$(date +%s); export DEVPOCKET_URL=http://127.0.0.1:{port} "
            f"DEVPOCKET_TOKEN=$(curl -s {api}/auth/register {json_header} -d {register} | {take_token})",
            f'curl -s {api}/templates -H "Authorization: Bearer $DEVPOCKET_TOKEN"; echo',
            f'curl -s {api}/environments -H "Authorization: Bearer $DEVPOCKET_TOKEN" {json_header} '
            '-d \'{"name":"First","template_id":"python"}\'; echo',
            f'for i in 1 2 3 4 5 6 7 8; do curl -s {api}/environments -H "Authorization: Bearer $DEVPOCKET_TOKEN" '
            '| grep -o \'"phase":"[a-z]*"\'; sleep 1; done',
            ".venv/bin/python manage.py connect First   # type: echo $((6*7))   leave: Enter, then ~.",
        ]
    )


def _check_port_free(port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"port {port} is in use. Stop what has it, or choose another: {name}=... make run"
            ) from error


def _start(arguments: list[str], *, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A manage.py command with its output in a file; it ends when this process does, even by kill -9 (on Linux)."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_up(child: subprocess.Popen[bytes], url: str, name: str, log: Path) -> subprocess.Popen[bytes]:
    """Wait for any HTTP answer. Raises: CommandError with the log's last line."""
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at and child.poll() is None:
        try:
            requests.get(url, timeout=1)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return child
    _stop(child)
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise CommandError(f"{name} did not start: {last} (all of it: {log})")


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
