"""What settings take and what they refuse, and that their documentation says the same."""

from __future__ import annotations

import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from devpocket.settings_table import examples, production
from devpocket.testing.processes import ROOT

NEEDED = [name for name in production() if name != "DEBUG"]
OTHER = "0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopqrstuvwxyz"
Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """load(NAME="value"): the settings of a production that has this beside the least that is needed."""

    def run(**environment: str) -> dict[str, Any]:
        for name in [name for name in os.environ if name != "PATH"]:
            monkeypatch.delenv(name)
        for name, value in {**production(), "DOTENV": os.devnull, **environment}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "devpocket" / "settings.py"))

    monkeypatch.setattr(logging.config, "dictConfig", lambda config: None)
    return run


@pytest.mark.parametrize("name", NEEDED)
def test_production_needs_each_of_them(load: Load, name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"\A{name} is not set: .*\.\Z"):
        load(**{name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", f"django-insecure-{OTHER}"),
        ("SECRET_KEY", "s" * 60),
        ("JWT_SIGNING_KEY", "too-short"),
        ("JWT_SIGNING_KEY", "change-me-change-me-change-me-change-me"),
        ("FIELD_ENCRYPTION_KEYS", "too-short"),
        ("FIELD_ENCRYPTION_KEYS", f"{OTHER},your-second-key-your-second-key-1234"),
        ("FIELD_ENCRYPTION_KEYS", f"{OTHER},{OTHER}"),
        ("METRICS_TOKEN", "short"),
        ("DO_TOKEN", "<your token>"),
        ("DO_TOKEN", "dop_v1_ä"),
        ("PUBLIC_URL", "http://devpocket.example.org"),
        ("PUBLIC_URL", "devpocket.example.org"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "https://devpocket.example.org"),
        ("ALLOWED_HOSTS", ","),
        ("WS_ALLOWED_ORIGINS", "*"),
        ("WS_ALLOWED_ORIGINS", "app.example.org"),
        ("WS_ALLOWED_ORIGINS", "https://app.example.org/"),
        ("CSRF_TRUSTED_ORIGINS", "app.example.org"),
        ("TRUSTED_PROXIES", "proxy"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("SSH_SOURCE_ADDRESSES", "everywhere"),
        ("DATABASE_URL", "sqlite:////tmp/db"),
        ("DATABASE_URL", "mysql://db/devpocket"),
        ("DATABASE_URL", "postgres://db"),
        ("DATABASE_URL", "postgres://user:hunter2@db:port/devpocket"),
        ("DATABASE_URL", "postgres://[db/devpocket"),
        ("REDIS_URL", "http://redis:6379"),
        ("REDIS_URL", "redis://:6379"),
        ("REDIS_URL", "redis://:hunter2@redis:6379x"),
        ("REDIS_URL", "redis://redis/first"),
        ("EMAIL_URL", "mail.example.org"),
        ("EMAIL_URL", "imap://user:hunter2@mail.example.org"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://user:hunter2@mail.example.org:mail"),
        ("EMAIL_URL", "dummymail://"),
        ("DEFAULT_FROM_EMAIL", "DevPocket"),
        ("DO_API_URL", "http://api.example.org"),
        ("DO_DEFAULT_REGION", "New York"),
        ("GOOGLE_WEB_CLIENT_ID", "web"),
        ("LOG_LEVEL", "LOUD"),
        ("REAPER_DELETES", "flase"),
        ("PORT", "65536"),
        ("RECORDING_MAX_BYTES", "1x0"),
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("MAX_SNAPSHOTS", "-1"),
        ("PRO_ENVIRONMENTS", "1.5"),
        ("THROTTLE_SCALE", "0"),
        ("CLOUD_POLL_SECONDS", "nan"),
        ("ACTION_WAIT_SECONDS", "21"),
        ("STORAGE_OPTIONS", "{bucket: hunter2"),
        ("STORAGE_OPTIONS", "[1]"),
        ("SECRET_KEY_FILE", "/nowhere/secret"),
    ],
)
def test_what_is_weak_or_wrong_is_refused_in_one_sentence(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(**{name: value})
    text = str(refusal.value)
    assert name in text
    assert text.endswith(".")
    assert "\n" not in text
    assert "hunter2" not in text


def test_one_secret_is_not_for_two_purposes(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured, match="must all be different"):
        load(JWT_SIGNING_KEY=OTHER, SECRET_KEY=OTHER)


def test_texts_become_types(load: Load) -> None:
    settings = load(
        TRUSTED_PROXIES=" 10.0.0.0/8 , ::1 ",
        REAPER_DELETES="Off",
        MAX_SNAPSHOTS="0",
        PRO_ENVIRONMENTS="0",
        FREE_STORAGE_GB="20",
        IDLE_STOP_MINUTES="30",
        PRO_IDLE_STOP_MINUTES="0",
        CLOUD_POLL_SECONDS="0.5",
        RECORDING_DAYS="",
        GOOGLE_CLIENT_IDS="ios,web",
        GOOGLE_WEB_CLIENT_ID="web",
        EMAIL_URL="smtp+tls://user:p%40ss@mail.example.org",
        DATABASE_URL="postgres://user:p%40ss@db/devpocket?sslmode=require",
        REDIS_URL="rediss://:$ecret@redis/1",
    )
    assert settings["TRUSTED_PROXIES"] == ["10.0.0.0/8", "::1"]
    assert (settings["REAPER_DELETES"], settings["MAX_SNAPSHOTS"]) == (False, 0)
    assert (settings["GOOGLE_CLIENT_IDS"], settings["GOOGLE_WEB_CLIENT_ID"]) == (["ios", "web"], "web")
    assert (settings["CLOUD_POLL_SECONDS"], settings["RECORDING_DAYS"]) == (0.5, 30)
    assert settings["PLANS"]["pro"] == {"max_environments": None, "max_storage_gb": 100, "idle_stop_minutes": 0}
    assert settings["PLANS"]["free"] == {"max_environments": 1, "max_storage_gb": 20, "idle_stop_minutes": 30}
    assert (settings["EMAIL_HOST_PASSWORD"], settings["EMAIL_PORT"], settings["EMAIL_USE_TLS"]) == ("p@ss", 587, True)
    assert settings["DEFAULT_FROM_EMAIL"] == "DevPocket <no-reply@devpocket.example.org>"
    database = settings["DATABASES"]["default"]
    assert (database["PASSWORD"], database["OPTIONS"]["sslmode"]) == ("p@ss", "require")
    assert database["OPTIONS"]["pool"]["max_size"] == 10
    assert settings["CACHES"]["default"]["LOCATION"] == "rediss://:$ecret@redis/1"


def test_a_secret_comes_by_file_and_others_from_dotenv(load: Load, tmp_path: Path) -> None:
    secret, dotenv = tmp_path / "secret", tmp_path / "settings"
    secret.write_text(f"{OTHER}\n")
    dotenv.write_text("# words\n\nMAX_SNAPSHOTS=3\nexport ENVIRONMENT='blue'\nPORT=9\n")
    settings = load(SECRET_KEY="", SECRET_KEY_FILE=str(secret), DOTENV=str(dotenv), PORT="7")
    assert settings["SECRET_KEY"] == OTHER
    assert (settings["MAX_SNAPSHOTS"], settings["ENVIRONMENT"], settings["PORT"]) == (3, "blue", 7)
    dotenv.write_text("PORT=9\nSECRET-KEY=hunter2\n")
    with pytest.raises(ImproperlyConfigured, match=r"\ADOTENV: line 2 of \S+ is not NAME=value\.\Z"):
        load(DOTENV=str(dotenv))


def test_development_needs_no_stores_and_takes_short_secrets(load: Load) -> None:
    settings = load(DEBUG="true", SECRET_KEY="x", **dict.fromkeys(("DATABASE_URL", "EMAIL_URL", "PUBLIC_URL"), ""))
    assert settings["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert settings["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert settings["EMAIL_BACKEND"].endswith("filebased.EmailBackend")


def test_env_example_has_each_setting_once_with_a_word_and_its_default(load: Load) -> None:
    shown = list(examples())
    written = {example.name: example.value for example in shown}
    assert len(shown) == len(written)
    assert [example.name for example in shown if not example.text] == []
    asked = load()["env"].asked
    assert set(written) == set(asked)
    numbers = [variable for variable in asked.values() if variable.type in ("whole number", "number", "true or false")]
    differ = [
        variable.name
        for variable in numbers
        if written[variable.name] not in (f"{variable.default:g}", str(variable.default), str(variable.default).lower())
        and not variable.name.endswith("_IDLE_STOP_MINUTES")  # each plan's, which are commented out
    ]
    assert differ == []


def test_env_example_with_its_secrets_filled_in_starts(load: Load) -> None:
    filled = {example.name: example.value or production().get(example.name, "") for example in examples()}
    load(**{**filled, "DOTENV": os.devnull, "STORAGE_BACKEND": ""})


def test_the_table_is_what_the_code_says() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "devpocket.settings_table"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (ROOT / "docs" / "settings.md").read_text() == written.stdout, (
        "python -m devpocket.settings_table > docs/settings.md"
    )
