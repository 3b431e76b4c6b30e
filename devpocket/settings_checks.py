"""What stops a start beside what is missing or no number: what can't be understood, and in production what is weak.

All functions raise ImproperlyConfigured with one sentence that begins with the setting's name, and hold no secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

POSTGRES = ("postgres", "postgresql")
REDIS = ("redis", "rediss", "unix")
MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 587, "smtp+ssl": 465}  # smtps is django-environ's word for smtp+tls
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+\Z")
HOST = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?\Z|\[[0-9A-Fa-f:.]+\]\Z")
SLUG = re.compile(r"[a-z0-9-]+\Z")
# Nothing that random text could have by chance.
PLACEHOLDER = re.compile(r"change.?me|changeit|insecure|placeholder|example|\Ayour[-_]|<.*>|x{8}", re.IGNORECASE)
NEW_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes one"


def _parts(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- raises where it is no number
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a URL that can be understood.") from None
    return parts


def check_stores(database_url: str, redis_url: str, *, production: bool) -> None:
    """The URLs of both stores; "" is none."""
    if database_url:
        database = _parts("DATABASE_URL", database_url)
        if database.scheme == "sqlite" and production:
            raise ImproperlyConfigured("DATABASE_URL is SQLite, which is for development: production needs PostgreSQL.")
        if database.scheme not in (*POSTGRES, "sqlite") or not database.path.strip("/"):
            raise ImproperlyConfigured("DATABASE_URL is not postgres://user:password@host:5432/database.")
    if redis_url:
        redis = _parts("REDIS_URL", redis_url)
        is_complete = bool(redis.path.strip("/")) if redis.scheme == "unix" else bool(redis.hostname)
        if redis.scheme not in REDIS or not is_complete:
            raise ImproperlyConfigured("REDIS_URL is not redis://host:6379/0 (or rediss:// for TLS, or unix:///path).")
        if redis.scheme != "unix" and not re.fullmatch(r"/?\d*", redis.path):
            raise ImproperlyConfigured("REDIS_URL is not complete: what follows the host must be a database's number.")


def mail_settings(url: str, *, production: bool, outbox: Path) -> dict[str, Any]:
    """Django's settings of mail: EMAIL_BACKEND and what it needs. Without a URL, mails are files in `outbox`."""
    if not url:
        return {"EMAIL_BACKEND": environ.Env.EMAIL_SCHEMES["filemail"], "EMAIL_FILE_PATH": outbox}
    parts = _parts("EMAIL_URL", url)
    if parts.scheme not in environ.Env.EMAIL_SCHEMES:
        raise ImproperlyConfigured("EMAIL_URL is not smtp+tls://user:password@host:587 (or smtp+ssl://, smtp://).")
    if parts.scheme in MAIL_PORTS and not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL is not complete: it names no host.")
    if production and parts.scheme in ("consolemail", "memorymail", "dummymail"):
        raise ImproperlyConfigured(
            f"EMAIL_URL is {parts.scheme}, which reaches nobody: production needs a mail server."
        )
    found: dict[str, Any] = environ.Env.email_url_config(url)
    found.pop("OPTIONS", None)  # not Django's
    found["EMAIL_PORT"] = parts.port or MAIL_PORTS.get(parts.scheme, 25)
    return found


def sender(public_url: str) -> str:
    """Who mails come from where nothing else is said."""
    return f"DevPocket <no-reply@{_parts('PUBLIC_URL', public_url).hostname or 'localhost'}>"


def check_formats(settings: Mapping[str, Any]) -> None:
    """What is wrong in development, too."""
    for name in ("PUBLIC_URL", "DO_API_URL", "GOOGLE_CERTS_URL"):
        parts = _parts(name, settings[name])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ImproperlyConfigured(f"{name} is not a URL as https://host.")
    for name in ("TRUSTED_PROXIES", "SSH_SOURCE_ADDRESSES"):
        for network in settings[name]:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ImproperlyConfigured(f"{name}: {network!r} is not an address or a network.") from None
    for host in settings["ALLOWED_HOSTS"]:
        if host != "*" and not HOST.match(host):
            raise ImproperlyConfigured(f"ALLOWED_HOSTS: {host!r} is not a host's name, without scheme and port.")
    for name in ("CSRF_TRUSTED_ORIGINS", "WS_ALLOWED_ORIGINS", "CORS_ALLOWED_ORIGINS"):
        for origin in settings[name]:
            if not (origin == "*" and name == "WS_ALLOWED_ORIGINS") and not ORIGIN.match(origin):
                raise ImproperlyConfigured(f"{name}: {origin!r} is not an origin, as https://app.example.org.")
    if not SLUG.match(settings["DO_DEFAULT_REGION"]):
        raise ImproperlyConfigured("DO_DEFAULT_REGION is not a region's slug, as nyc3.")
    if not settings["DO_TOKEN"].isascii() or not settings["DO_TOKEN"].isprintable() or " " in settings["DO_TOKEN"]:
        raise ImproperlyConfigured("DO_TOKEN is not a token: it has characters that no header may have.")
    if settings["GOOGLE_WEB_CLIENT_ID"] not in ("", *settings["GOOGLE_CLIENT_IDS"]):
        raise ImproperlyConfigured(
            "GOOGLE_WEB_CLIENT_ID is not one of GOOGLE_CLIENT_IDS: its sign-ins would be refused."
        )
    if settings["LOG_LEVEL"] not in LOG_LEVELS:
        raise ImproperlyConfigured(f"LOG_LEVEL is not one of {', '.join(LOG_LEVELS)}.")
    if "@" not in parseaddr(settings["DEFAULT_FROM_EMAIL"])[1]:
        raise ImproperlyConfigured("DEFAULT_FROM_EMAIL is not an address, as DevPocket <no-reply@example.org>.")
    if not isinstance(settings["STORAGE_OPTIONS"], dict):
        raise ImproperlyConfigured('STORAGE_OPTIONS must be a JSON object, as {"bucket_name": "devpocket"}.')


def check_strength(settings: Mapping[str, Any]) -> None:
    """What production must not be started with."""
    _check_secret("SECRET_KEY", settings["SECRET_KEY"], 50)
    _check_secret("JWT_SIGNING_KEY", settings["JWT_SIGNING_KEY"], 32)
    keys = settings["FIELD_ENCRYPTION_KEYS"]
    for key in keys:
        _check_secret("FIELD_ENCRYPTION_KEYS", key, 32)
    secrets = [settings["SECRET_KEY"], settings["JWT_SIGNING_KEY"], *keys]
    if len(set(secrets)) < len(secrets):
        raise ImproperlyConfigured("SECRET_KEY, JWT_SIGNING_KEY and FIELD_ENCRYPTION_KEYS must all be different.")
    if settings["METRICS_TOKEN"]:
        _check_secret("METRICS_TOKEN", settings["METRICS_TOKEN"], 16)
    if PLACEHOLDER.search(settings["DO_TOKEN"]):
        raise ImproperlyConfigured("DO_TOKEN is a placeholder: make a token in the cloud's control panel.")
    if not settings["PUBLIC_URL"].startswith("https://"):
        raise ImproperlyConfigured("PUBLIC_URL is not https: what people send would be readable on its way.")
    for name in ("DO_API_URL", "GOOGLE_CERTS_URL"):
        parts = urlsplit(settings[name])
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise ImproperlyConfigured(f"{name} is not https, and not on this machine.")
    if "*" in settings["ALLOWED_HOSTS"]:
        raise ImproperlyConfigured("ALLOWED_HOSTS is *: name the hosts, or links in mails lead where a caller wants.")
    if "*" in settings["WS_ALLOWED_ORIGINS"]:
        raise ImproperlyConfigured("WS_ALLOWED_ORIGINS is *: name the origins, or any web page may open terminals.")


def _check_secret(name: str, value: str, least: int) -> None:
    if len(value.encode()) < least:
        raise ImproperlyConfigured(f"{name} is too short: {least} characters or more are needed; {NEW_KEY}.")
    if PLACEHOLDER.search(value) or len(set(value)) < 8:
        raise ImproperlyConfigured(f"{name} is a placeholder, which can be guessed; {NEW_KEY}.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
