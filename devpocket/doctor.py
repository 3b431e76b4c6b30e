"""What `manage.py doctor` is made of: checks that each say one line, within a time limit, and no secret.

settings.DOCTOR_CHECKS names them in order: {name: (dotted name of the check, checks that must have passed)}.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

LIMIT_S = 60.0  # of one check; what it waits for has shorter limits of its own

Check = Callable[[], str]  # gives what it has found, or raises Problem


class Problem(Exception):
    """What is wrong, and what to do about it: one sentence each."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found, self.advice = found, advice


@dataclass(frozen=True)
class Finding:
    """What a check says. `state`: "ok", "FAIL", or "skip" where it needs a check that did not pass."""

    name: str
    state: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<5} {self.name:<16} {' '.join(self.text.split())}"


def examine(wanted: dict[str, tuple[str, tuple[str, ...]]] | None = None) -> Iterator[Finding]:
    """Run the checks one after another; each finding comes when it is known."""
    passed: set[str] = set()
    for name, (path, needs) in (settings.DOCTOR_CHECKS if wanted is None else wanted).items():
        if missing := [need for need in needs if need not in passed]:
            yield Finding(name, "skip", f"needs {' and '.join(missing)}")
            continue
        finding = _limited(name, import_string(path))
        if finding.state == "ok":
            passed.add(name)
        yield finding


def _limited(name: str, check: Check) -> Finding:
    """In a thread: a name server or a library that hangs must not hold up the rest."""
    findings: list[Finding] = []

    def run() -> None:
        try:
            findings.append(Finding(name, "ok", without_secrets(check())))
        except Problem as problem:
            findings.append(Finding(name, "FAIL", without_secrets(f"{problem.found}. {problem.advice}")))
        except Exception as error:  # noqa: BLE001 -- its text is nobody's who knows what it may say
            findings.append(Finding(name, "FAIL", f"the check itself failed ({type(error).__name__}). Tell us."))
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name=f"doctor-{name}", daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return (
        findings[0] if findings else Finding(name, "FAIL", f"no answer for {LIMIT_S:g} s. Look at what it waits for.")
    )


def without_secrets(text: str) -> str:
    """A net below the rule that no check says one: what others' error texts repeat of ours."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "[scrubbed]")
    return text


def _secrets() -> Iterator[str]:
    candidates = [settings.SECRET_KEY, settings.JWT_SIGNING_KEY, *settings.FIELD_ENCRYPTION_KEYS, settings.DO_TOKEN]
    candidates += [settings.METRICS_TOKEN, settings.DEVPOCKET_ADMIN_PASSWORD]
    for url in (settings.DATABASE_URL, settings.REDIS_URL, settings.EMAIL_URL):
        password = urlsplit(url).password or ""
        candidates += [password, unquote(password)]
    return (text for text in candidates if len(text) >= 4)
