"""The doctor's checks of this machine and of what all servers share."""

from __future__ import annotations

import os
import platform
import shutil
import smtplib
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
import requests
from django.conf import settings
from django.core import checks
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host
from django.utils.module_loading import import_string

from devpocket.bootstrap import OLDEST_PYTHON
from devpocket.crypto import encrypted_columns, key_number, sealed_rows
from devpocket.doctor import Problem

WAIT_S = 5.0  # for any one answer
KEYS_LIMIT_S = 30.0
LEAST_FREE_BYTES = 1024**3
OLDEST_REDIS = (5, 0)  # channels-redis takes messages with BZPOPMIN


def settings_are_sound() -> str:
    """Django's own checks, and what only the settings together can show."""
    told = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    found = [message for message in told if message.level >= checks.WARNING and not message.is_silenced()]
    if found:
        raise Problem(f"{len(found)} warnings, first {found[0].id}: {found[0].msg}", "See manage.py check --deploy")
    if settings.DEBUG:
        return "development (DEBUG is on)"
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not validate_host(host, settings.ALLOWED_HOSTS):
        raise Problem(f"{host} of PUBLIC_URL is not among ALLOWED_HOSTS", "Links in mails would be refused: add it")
    if not settings.TRUSTED_PROXIES:
        raise Problem(
            "TRUSTED_PROXIES is not set", "Everybody's address is the proxy's, and they share rate limits: name it"
        )
    return f"production, for {settings.PUBLIC_URL}"


def versions() -> str:
    if sys.version_info < OLDEST_PYTHON:
        raise Problem(
            f"Python {platform.python_version()} is too old", f"Use {'.'.join(map(str, OLDEST_PYTHON))} or newer"
        )
    pinned = settings.BASE_DIR / "requirements.txt"
    if not pinned.exists():  # an image has no need of it
        return f"Python {platform.python_version()}, Django {metadata.version('django')}; no list of pins is here"
    lines = [line.split("==") for line in pinned.read_text().splitlines() if "==" in line]
    differ = [
        f"{name} {_installed(name) or 'is missing'} for {version}"
        for name, version in lines
        if _installed(name) != version
    ]
    if differ:
        raise Problem(
            f"{len(differ)} libraries are not as pinned: {', '.join(differ[:5])}", f"pip install -r {pinned.name}"
        )
    return f"Python {platform.python_version()}, {len(lines)} libraries as pinned"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def database() -> str:
    began = time.perf_counter()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT sqlite_version()")
            return f"SQLite {cursor.fetchone()[0]}, {_ms(began)}"
    try:  # not by the pool: that tries for 10 s, and says not why it failed
        with psycopg.connect(**{**connection.get_connection_params(), "connect_timeout": int(WAIT_S)}) as direct:
            direct.execute(f"SET statement_timeout = {int(WAIT_S * 1000)}")
            asked = time.perf_counter()
            direct.execute("SELECT 1")
            took = _ms(asked)
            version, is_replica, used, most = direct.execute(
                "SELECT current_setting('server_version'), pg_is_in_recovery(),"
                " (SELECT sum(numbackends)::int FROM pg_stat_database),"
                " current_setting('max_connections')"
            ).fetchone()
            number = direct.info.server_version // 10000
    except psycopg.Error as error:
        raise Problem(f"no PostgreSQL: {error}", "Is it running, and is DATABASE_URL right?") from None
    oldest = connection.features.minimum_database_version[0]
    if number < oldest:
        raise Problem(f"PostgreSQL {version} is too old", f"Use {oldest} or newer")
    if is_replica:
        raise Problem("this PostgreSQL is a replica that takes no writes", "Let DATABASE_URL name the primary")
    return f"PostgreSQL {version.split()[0]}, {took}, {used} of {most} connections in use"


def migrations() -> str:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        raise Problem(f"{len(plan)} not applied: {names}{' ...' if len(plan) > 3 else ''}", "Run manage.py migrate")
    applied = executor.loader.applied_migrations
    newer = sum(
        1 for key in applied if key not in executor.loader.graph.nodes and key[0] in executor.loader.migrated_apps
    )
    return f"{len(applied)} applied" + (f", {newer} of them unknown to this version" if newer else "")


def encryption_keys() -> str:
    """Every stored secret is tried, for KEYS_LIMIT_S at most."""
    give_up_at = time.monotonic() + KEYS_LIMIT_S
    by_key: Counter[int] = Counter()
    unreadable: list[str] = []
    try:
        for whose, sealed in _stored_secrets():
            if (number := key_number(sealed)) is None:
                unreadable.append(whose)
            else:
                by_key[number] += 1
            if time.monotonic() > give_up_at:
                break
    except DatabaseError as error:
        raise Problem(f"the tables can't be read ({type(error).__name__})", "Run manage.py migrate") from None
    if unreadable:
        raise Problem(
            f"{len(unreadable)} stored secrets can't be read, {by_key.total()} can; first {unreadable[0]}",
            "Put the key that encrypted them behind the others in FIELD_ENCRYPTION_KEYS",
        )
    told = [f"{by_key.total()} stored secrets can be read"]
    if time.monotonic() > give_up_at:
        told.append(f"not all were tried within {KEYS_LIMIT_S:g} s")
    if older := by_key.total() - by_key[0]:
        told.append(f"{older} by an older key (manage.py rotate_encryption_keys)")
    elif (others := len(settings.FIELD_ENCRYPTION_KEYS) - 1) and by_key:
        told.append(f"{others} older keys are not needed any more")
    return ", ".join(told)


def _stored_secrets() -> Iterator[tuple[str, str]]:
    """Whose each is, and its encrypted text."""
    for model, field in encrypted_columns():
        for row_key, sealed in sealed_rows(model, field):
            yield f"{model._meta.label}.{field.name} of {row_key}", sealed
    for name in settings.SEALED_ELSEWHERE:
        yield from import_string(name)()


def redis_answers() -> str:
    if not settings.REDIS_URL:
        return "embedded: one server process only (no REDIS_URL)"
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=WAIT_S, socket_connect_timeout=WAIT_S)
    try:
        client.ping()
        asked = time.perf_counter()
        client.set("devpocket-doctor", "1", ex=5)
        took = _ms(asked)
        info = client.info()
    except (redis.RedisError, OSError, ValueError) as error:
        raise Problem(f"no Redis that takes writes: {error}", "Is it running, and is REDIS_URL right?") from None
    finally:
        client.close()
    version, policy = str(info["redis_version"]), str(info.get("maxmemory_policy", "noeviction"))
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        raise Problem(f"Redis {version} is too old", f"Use {'.'.join(map(str, OLDEST_REDIS))} or newer")
    if policy.startswith("allkeys"):
        raise Problem(
            f"maxmemory-policy is {policy}, which drops messages and locks", "Set it to volatile-ttl or noeviction"
        )
    return f"Redis {version}, {took}, {info.get('used_memory_human', '?')} in use"


def mail() -> str:
    """Connects and signs in; sends nothing."""
    backend: Any = get_connection()
    if hasattr(backend, "file_path"):
        return f"no mail server: mails are files in {_writable(Path(backend.file_path))}"
    if not hasattr(backend, "open") or not hasattr(backend, "host"):
        return f"no mail server: {type(backend).__module__}"
    backend.timeout = WAIT_S
    where = f"{backend.host}:{backend.port}"
    began = time.perf_counter()
    try:
        backend.open()
        code, answer = backend.connection.noop()
        if code != 250:
            raise smtplib.SMTPResponseException(code, answer)
        said = "signed in" if backend.username and backend.password else "without sign-in"
    except smtplib.SMTPAuthenticationError as error:
        raise Problem(f"{where} refuses the sign-in ({error.smtp_code})", "Name and password in EMAIL_URL") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Problem(
            f"{where}: {error or type(error).__name__}", "Is EMAIL_URL right, and may this machine go there?"
        ) from None
    finally:
        backend.close()
    how = "TLS" if backend.use_ssl else "STARTTLS" if backend.use_tls else "no encryption"
    return f"{where}, {how}, {said}, {_ms(began)}"


def port() -> str:
    """Free, or a server of ours has it."""
    number = settings.PORT
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
            probe.listen()
        except PermissionError:
            raise Problem(f"{number} is for root only", "Set PORT to 1024 or more") from None
        except OSError:
            if _is_ours(number):
                return f"{number} is a DevPocket server's"
            raise Problem(f"{number} is in use by another program", "Stop it, or set PORT to another one") from None
    return f"{number} is free"


def _is_ours(number: int) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{number}/health/live", timeout=WAIT_S)
        return bool(answer.json() == {"status": "alive"})
    except (requests.RequestException, ValueError):
        return False


def disk() -> str:
    """Where recordings lie."""
    places = {"RECORDING_WORK_DIR": settings.RECORDING_WORK_DIR}
    if not settings.STORAGE_BACKEND:
        places["MEDIA_ROOT"] = settings.MEDIA_ROOT
    told = []
    for name, path in places.items():
        usage = shutil.disk_usage(_writable(path, name))
        if usage.free < LEAST_FREE_BYTES:
            raise Problem(
                f"{name} has {_gb(usage.free)} left on {path}", f"Make room: {_gb(LEAST_FREE_BYTES)} at least"
            )
        told.append(f"{name} {_gb(usage.free)} free of {_gb(usage.total)}")
    return ", ".join(told)


def _writable(path: Path, name: str = "EMAIL_URL") -> Path:
    """The directory, or what there is of it: the server makes the rest. Raises: Problem."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Problem(f"{there} is not a directory that can be written to", f"{name} needs one")
    return there


def _gb(number: int) -> str:
    return f"{number / 1024**3:.1f} GiB"


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.0f} ms"
