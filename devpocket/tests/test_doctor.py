"""manage.py doctor: each check finds what it is there for, and no line holds a secret."""

from __future__ import annotations

import base64
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from accounts.services import SignIn
from accounts.tests.rows import environment
from devpocket import doctor, doctor_checks
from devpocket.crypto import encrypt
from devpocket.doctor import Finding, Problem, examine
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server

NOBODY = "127.0.0.1:1"


def run(**variables: str) -> tuple[int, dict[str, str]]:
    """The exit status, and each line's "STATE text" by its name."""
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stderr == ""
    found = {}
    for line in done.stdout.splitlines():
        state, name, text = re.fullmatch(r"(ok|FAIL|skip) +(\S+(?: \S+)?) {2,}(.+)|", line).groups()
        found[name] = f"{state} {text}"
    assert list(found) == list(django_settings.DOCTOR_CHECKS)
    return done.returncode, found


def test_a_sound_installation_is_all_ok(server: Server) -> None:
    status, found = run(**server.environment, PORT=server.url.rpartition(":")[2])
    assert {name: text for name, text in found.items() if not text.startswith("ok ")} == {}
    assert status == 0
    assert found["port"].endswith("is a DevPocket server's")


def test_what_does_not_answer_is_said_without_secrets(server: Server) -> None:
    status, found = run(
        **{
            **server.environment,
            "DATABASE_URL": f"postgres://devpocket:hunter2@{NOBODY}/devpocket",
            "REDIS_URL": f"redis://:hunter2@{NOBODY}/0",
            "EMAIL_URL": f"smtp+tls://devpocket:hunter2@{NOBODY}",
            "DO_TOKEN": "hunter2-hunter2",
            "MEDIA_ROOT": "/proc/devpocket",
        }
    )
    assert status == 1
    for name in ("database", "redis", "mail", "cloud token", "disk"):
        assert found[name].startswith("FAIL "), found[name]
    for name in ("migrations", "encryption keys", "cloud scopes", "clock"):
        assert found[name].startswith("skip "), found[name]
    assert "401" in found["cloud token"]
    assert "hunter2" not in str(found)


# --- The frame


def hangs() -> str:
    threading.Event().wait(30)
    return "never said"


def breaks() -> str:
    raise RuntimeError(f"with {django_settings.SECRET_KEY} in it")


def repeats() -> str:
    raise Problem(f"the server said: no such token\n{django_settings.DO_TOKEN}", "Ask again")


def test_a_check_that_hangs_breaks_or_repeats_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIMIT_S", 0.1)
    told = [*examine({"one": (f"{__name__}.hangs", ()), "two": (f"{__name__}.breaks", ("one",))})]
    assert told[0] == Finding("one", "FAIL", "no answer for 0.1 s. Look at what it waits for.")
    assert told[1] == Finding("two", "skip", "needs one")
    monkeypatch.setattr(doctor, "LIMIT_S", 30)
    told = [*examine({"two": (f"{__name__}.breaks", ()), "three": (f"{__name__}.repeats", ())})]
    assert told[0].text == "the check itself failed (RuntimeError). Tell us."
    assert str(told[1]) == "FAIL  three            the server said: no such token [scrubbed]. Ask again"


# --- Settings, database


def test_settings_are_looked_at_together(settings: Any) -> None:
    settings.DEBUG = True
    assert "development" in doctor_checks.settings_are_sound()
    settings.DEBUG, settings.SECRET_KEY = False, "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = "https://pocket.example.org", [".example.com"]
    with pytest.raises(Problem, match=r"pocket\.example\.org of PUBLIC_URL is not among ALLOWED_HOSTS"):
        doctor_checks.settings_are_sound()
    settings.ALLOWED_HOSTS = [".example.org"]
    with pytest.raises(Problem, match="TRUSTED_PROXIES"):
        doctor_checks.settings_are_sound()
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert doctor_checks.settings_are_sound() == "production, for https://pocket.example.org"
    settings.SECRET_KEY = "short"
    with pytest.raises(Problem, match=r"security\.W009"):
        doctor_checks.settings_are_sound()


def test_a_library_that_is_not_as_pinned(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    assert "no list of pins" in doctor_checks.versions()
    (tmp_path / "requirements.txt").write_text("django==1.0\nno-such-library==1\n")
    with pytest.raises(Problem, match=r"2 libraries .* for 1\.0, no-such-library is missing for 1"):
        doctor_checks.versions()


@pytest.mark.django_db
def test_a_migration_that_is_not_applied(db: None) -> None:
    assert "unknown" not in doctor_checks.migrations()
    recorder = MigrationRecorder(connection)
    recorder.record_applied("accounts", "9999_of_a_newer_version")
    assert doctor_checks.migrations().endswith("1 of them unknown to this version")
    newest = MigrationLoader(connection).graph.leaf_nodes("terminals")[0][1]
    recorder.record_unapplied("terminals", newest)
    with pytest.raises(Problem, match=rf"not applied: terminals\.{newest}"):
        doctor_checks.migrations()


def test_every_stored_secret_is_tried(ann: SignIn, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devpocket.crypto.PAGE_ROWS", 2)  # more than one page
    for _ in range(4):
        environment(ann, environment_variables={"TOKEN": "hunter2"})
    Authenticator.objects.create(user=ann.user, type=Authenticator.Type.TOTP, data={"secret": encrypt("hunter2")})
    assert doctor_checks.encryption_keys() == "10 stored secrets can be read"
    settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]
    assert "10 by an older key" in doctor_checks.encryption_keys()
    settings.FIELD_ENCRYPTION_KEYS = ["tests", "older"]
    assert "1 older keys are not needed" in doctor_checks.encryption_keys()
    settings.FIELD_ENCRYPTION_KEYS = ["wrong"]
    with pytest.raises(Problem, match=r"10 stored secrets can't be read, 0 can; first accounts\.PlatformKey"):
        doctor_checks.encryption_keys()


# --- Mail, port


@dataclass
class MailServer:
    """Knows just enough SMTP to let somebody in, or not."""

    port: int = 0
    accepts: bool = True
    commands: list[str] = field(default_factory=list)


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    state = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                state.commands.append(line)
                verdict = b"235 welcome" if state.accepts else b"535 no such user"
                answers = {
                    "EHLO": b"250-here\r\n250 AUTH PLAIN",
                    "AUTH": verdict,
                    "QUIT": b"221 bye",
                    "NOOP": b"250 ok",
                }
                self.wfile.write(answers.get(word, b"502 what?") + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.port = server.server_address[1]
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", state.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "devpocket", "hunter2"
        yield state
        server.shutdown()


def test_mail_is_signed_in_to_and_nothing_is_sent(mail_server: MailServer) -> None:
    assert f"127.0.0.1:{mail_server.port}, no encryption, signed in" in doctor_checks.mail()
    assert [command.split()[0].upper() for command in mail_server.commands] == ["EHLO", "AUTH", "NOOP", "QUIT"]
    assert base64.b64encode(b"\0devpocket\0hunter2").decode() in mail_server.commands[1]


def test_a_mail_server_that_does_not_take_the_password(mail_server: MailServer) -> None:
    mail_server.accepts = False
    with pytest.raises(Problem, match=r"refuses the sign-in \(535\)") as told:
        doctor_checks.mail()
    assert "hunter2" not in f"{told.value.found}{told.value.advice}"


def test_a_port_that_something_else_has(mail_server: MailServer, settings: Any) -> None:
    settings.PORT = mail_server.port
    with pytest.raises(Problem, match="in use by another program"):
        doctor_checks.port()
