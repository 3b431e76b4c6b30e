"""All settings, typed, from the environment alone. `.env` beside manage.py fills what the environment leaves out.

What is missing, no number, or (with DEBUG off) weak stops the start with one sentence (devpocket/settings_checks.py).
What each is: .env.example; docs/settings.md is written from both by `python -m devpocket.settings_table`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import environ

from devpocket import __version__, settings_checks
from devpocket.api_description import SPECTACULAR_SETTINGS  # noqa: F401
from devpocket.env import Env
from devpocket.logs import logging_config
from devpocket.wiring import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()
env.read_dotenv(BASE_DIR / ".env")  # real environment variables win

VERSION = __version__
DEBUG: bool = env.bool("DEBUG", False)
ENVIRONMENT: str = env.str("ENVIRONMENT", "development" if DEBUG else "production")

SECRET_KEY = env.required("SECRET_KEY", "it signs sessions of the admin; 50 random characters")
JWT_SIGNING_KEY = env.required("JWT_SIGNING_KEY", "it signs access and refresh tokens; 32 random bytes or more")
# The first key encrypts, all of them decrypt: put a new one in front to rotate.
FIELD_ENCRYPTION_KEYS: list[str] = env.required_list("FIELD_ENCRYPTION_KEYS", "it encrypts private keys at rest")

# Where people reach this server: mails link to it.
PORT: int = env.int("PORT", 8000, most=65535)
PUBLIC_URL: str = env.required("PUBLIC_URL", "mails link to it, as https://devpocket.example.org", unless=DEBUG)
PUBLIC_URL = PUBLIC_URL.rstrip("/") or f"http://127.0.0.1:{PORT}"
ALLOWED_HOSTS: list[str] = env.required_list("ALLOWED_HOSTS", "it is the host of PUBLIC_URL", unless=DEBUG) or ["*"]
_OWN_ORIGIN = "/".join(PUBLIC_URL.split("/")[:3])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[]) or [_OWN_ORIGIN]
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])  # whose X-Forwarded-For counts
WS_ALLOWED_ORIGINS: list[str] = env.list("WS_ALLOWED_ORIGINS", default=["*"] if DEBUG else [_OWN_ORIGIN])
# Other origins whose pages may read the API's answers. Tokens go in a header, so no cookie is let through.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])

INSTALLED_APPS = [
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),  # before staticfiles; why there alone: dependencies.md
    "accounts.admin_site.OperatorsAdminConfig",  # django.contrib.admin, with our site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth.account",  # socialaccount needs its tables
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "corsheaders",
    "channels",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "devpocket",
    "accounts",
    "templates_catalog",
    "environments",
    "terminals",
]

MIDDLEWARE = [
    "devpocket.middleware.api_edge",
    "corsheaders.middleware.CorsMiddleware",  # before all that answers by itself
    "devpocket.middleware.static_files",
    "devpocket.page_middleware.PageSessions",
    "devpocket.page_middleware.PageCsrf",
    "devpocket.page_middleware.PageAuthentication",
    "devpocket.page_middleware.PageMessages",
    "allauth.account.middleware.AccountMiddleware",  # allauth does not start without it
]

ROOT_URLCONF = "devpocket.urls"
ASGI_APPLICATION = "devpocket.asgi.application"
APPEND_SLASH = False  # a redirected POST is lost (contract T1)

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "devpocket" / "templates"],  # before those of the admin
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database, cache, channel layer: embedded without a URL, shared by all processes with one.

DATABASE_URL: str = env.required("DATABASE_URL", "production needs PostgreSQL", unless=DEBUG)
REDIS_URL: str = env.required("REDIS_URL", "processes share limits and nudges through it", unless=DEBUG)
DATABASE_POOL_SIZE: int = env.int("DATABASE_POOL_SIZE", 10)
settings_checks.check_stores(DATABASE_URL, REDIS_URL, production=not DEBUG)

DATABASES: dict[str, dict[str, Any]] = {
    "default": environ.Env.db_url_config(DATABASE_URL or f"sqlite:///{BASE_DIR}/var/db.sqlite3")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    (BASE_DIR / "var").mkdir(exist_ok=True)
    DATABASES["default"]["TEST"] = {
        "NAME": BASE_DIR / "var" / f"test-{os.getpid()}.sqlite3"
    }  # a file: threads share it
    DATABASES["default"]["CONN_MAX_AGE"] = None  # opening the file anew for every call costs more than most queries
    # IMMEDIATE: a transaction takes the write lock when it begins, so two writers wait instead of failing half-way.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"]["ENGINE"] = "devpocket.postgresql"
    # What the URL asks for, such as ?sslmode=verify-full, wins. A database that doesn't answer is given up soon, and
    # asked again soon: whoever waits is told to come back.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 3,
        "tcp_user_timeout": 10_000,  # ms; of what was sent and isn't confirmed
        **{"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3},  # s; of an answer that never comes
        **DATABASES["default"].get("OPTIONS", {}),
        "pool": {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 3, "reconnect_timeout": 5},
    }

# Room for every counter: the default of 300 entries would throw rate limits away.
_OWN_CACHE = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES: dict[str, dict[str, Any]]
CHANNEL_LAYERS: dict[str, dict[str, Any]]
if REDIS_URL:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from devpocket.redis_connection import CancellableConnection

    CACHES = {
        "default": {
            "BACKEND": "devpocket.redis_cache.CountingRedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {
                "serializer": "devpocket.signed_cache.SignedSerializer",
                # It answers within a millisecond; one that hangs must not hold up every request.
                "socket_connect_timeout": 2,
                "socket_timeout": 3,
                "retry": Retry(NoBackoff(), 1),
            },
            "VERSION": 2,  # entries of another form than those that are not signed
        }
    }
    # 30 s: channels_redis waits up to 5 s in one command, which is redis-py's own limit for an answer.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {
                "hosts": [{"address": REDIS_URL, "socket_timeout": 30, "connection_class": CancellableConnection}]
            },
        }
    }
else:
    CACHES = {"default": _OWN_CACHE}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES["local"] = {**_OWN_CACHE, "LOCATION": "local"}  # for what has to go on while Redis is away (devpocket/cache.py)

# --- Accounts and tokens (contract section 3)

AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = ["accounts.backends.LockoutBackend"]
PASSWORD_HASHERS = [
    "accounts.hashers.QueuedArgon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
ACCESS_TOKEN_SECONDS: int = env.int("ACCESS_TOKEN_SECONDS", 3600)
REFRESH_TOKEN_SECONDS: int = env.int("REFRESH_TOKEN_SECONDS", 604800)
REFRESH_GRACE_SECONDS: int = env.int("REFRESH_GRACE_SECONDS", 30, least=0)
ACCOUNT_LOCKOUT_ATTEMPTS: int = env.int("ACCOUNT_LOCKOUT_ATTEMPTS", 5)
ACCOUNT_LOCKOUT_SECONDS: int = env.int("ACCOUNT_LOCKOUT_SECONDS", 900)
REQUIRE_EMAIL_VERIFICATION: bool = env.bool("REQUIRE_EMAIL_VERIFICATION", True)
LEGACY_CAMELCASE_USER: bool = env.bool("LEGACY_CAMELCASE_USER", True)

# Operators' second factor: accounts/second_factor.py. Codes of 30 s before and after now are taken.
ADMIN_REQUIRES_TOTP: bool = env.bool("ADMIN_REQUIRES_TOTP", False)
MFA_ADAPTER = "accounts.second_factor.Adapter"
MFA_TOTP_ISSUER = "DevPocket"
MFA_TOTP_TOLERANCE = 1

# Signing in with Google, through django-allauth: its provider and tables, none of its pages.
GOOGLE_CLIENT_IDS: list[str] = env.list("GOOGLE_CLIENT_IDS", default=[])  # web, iOS, Android
GOOGLE_WEB_CLIENT_ID: str = env.str("GOOGLE_WEB_CLIENT_ID", "")  # that of them with which the web client asks Google
GOOGLE_CERTS_URL: str = env.str("GOOGLE_CERTS_URL", "https://www.googleapis.com/oauth2/v1/certs")
GOOGLE_ISSUER: str = env.str("GOOGLE_ISSUER", "https://accounts.google.com")
SOCIALACCOUNT_PROVIDERS = {"google": {"provider_class": "accounts.google.IdTokenProvider"}}

SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "LEEWAY": 10,
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "type",
    "JTI_CLAIM": "jti",
}

# What each plan may have (contract section 10). max_environments None is unlimited. After idle_stop_minutes without
# use a machine is stopped; 0: never.
IDLE_STOP_MINUTES: int = env.int("IDLE_STOP_MINUTES", 0)
PLANS: dict[str, dict[str, Any]] = {
    plan: {
        "max_environments": env.int(f"{plan.upper()}_ENVIRONMENTS", environments, least=0)
        or (None if plan == "pro" else 0),
        "max_storage_gb": env.int(f"{plan.upper()}_STORAGE_GB", storage_gb),
        "idle_stop_minutes": env.int(f"{plan.upper()}_IDLE_STOP_MINUTES", IDLE_STOP_MINUTES, least=0),
    }
    for plan, environments, storage_gb in (
        ("free", 1, 10),
        ("starter", 3, 25),
        ("pro", 10, 100),
        ("admin", 100, 500),
    )
}
IDLE_CPU_PERCENT: float = env.float("IDLE_CPU_PERCENT", 10.0, least=0, most=100)  # a machine busier than this is in use

# --- Rate limits (contract section 10): requests per window; THROTTLE_SCALE multiplies every one of them.

THROTTLE_SCALE: float = env.float("THROTTLE_SCALE", 1.0)
RATE_LIMITS: dict[str, tuple[int, int]] = {  # bucket: (requests, seconds)
    "general": (env.int("THROTTLE_GENERAL", 100), 60),
    "auth": (env.int("THROTTLE_AUTH", 5), 60),
    "auth_address": (env.int("THROTTLE_AUTH_ADDRESS", 30), 60),
    "admin": (env.int("THROTTLE_ADMIN", 5), 60),
    "admin_address": (env.int("THROTTLE_ADMIN_ADDRESS", 20), 60),
    "refresh": (env.int("THROTTLE_REFRESH", 30), 60),
    "create": (env.int("THROTTLE_CREATE", 10), 3600),
    "create_pro": (env.int("THROTTLE_CREATE_PRO", 60), 3600),
}

# --- The cloud and the droplets

LOCALCLOUD_DROPLET_COMMAND: str = env.str("LOCALCLOUD_DROPLET_COMMAND", "")  # the local cloud reads it
LOCALCLOUD_PORT: int = env.int("LOCALCLOUD_PORT", 9100, most=65535)
_LOCALCLOUD_URL = f"http://127.0.0.1:{LOCALCLOUD_PORT}"
DO_API_URL: str = env.str("DO_API_URL", _LOCALCLOUD_URL if DEBUG else "https://api.digitalocean.com")
USES_LOCALCLOUD = DO_API_URL == _LOCALCLOUD_URL
DO_TOKEN: str = env.required("DO_TOKEN", "the cloud's API token, which creates droplets")
DO_DEFAULT_REGION: str = env.str("DO_DEFAULT_REGION", "nyc3")
DROPLET_SSH_PORT: int = env.int("DROPLET_SSH_PORT", 22, most=65535)
CLOUD_POLL_SECONDS: float = env.float("CLOUD_POLL_SECONDS", 2.0)  # one listing for all waiting rows, at most this often
INSTALL_TIMEOUT_MINUTES: int = env.int("INSTALL_TIMEOUT_MINUTES", 15)
DEADLINE_SCALE: float = env.float("DEADLINE_SCALE", 1.0)  # multiplies every phase's limit: tests shorten them
ACTION_WAIT_SECONDS: float = env.float(
    "ACTION_WAIT_SECONDS", 0.0, least=0, most=20
)  # how long start, stop ... may wait
MAX_SNAPSHOTS: int = env.int("MAX_SNAPSHOTS", 10, least=0)  # of one environment
LEASE_SECONDS: float = env.float("LEASE_SECONDS", 30.0)  # what a killed process held is free after this
# What all server processes together may ask of the cloud; its own limits are 250 and 5,000. Health checks come on top:
# four a minute.
CLOUD_CALLS_PER_MINUTE: int = env.int("CLOUD_CALLS_PER_MINUTE", 248)
CLOUD_CALLS_PER_HOUR: int = env.int("CLOUD_CALLS_PER_HOUR", 4700)
# Steps of a machine's set-up to leave out, by name (environments/set_up/steps.py): what a network can't reach.
SETUP_SKIPS: list[str] = env.list("SETUP_SKIPS", default=[])
METRICS_SECONDS: float = env.float(
    "METRICS_SECONDS", 60.0, least=0
)  # between two samples of a running machine; 0: none
# Who may reach the droplets' SSH port: this server at least. Everybody, so that users' own keys work from anywhere.
SSH_SOURCE_ADDRESSES: list[str] = env.list("SSH_SOURCE_ADDRESSES", default=["0.0.0.0/0", "::/0"])
REAPER_DELETES: bool = env.bool("REAPER_DELETES", True)  # the hourly reaper removes what our own rows say is gone

# --- Terminals

WS_CONNECTIONS_PER_USER: int = env.int("WS_CONNECTIONS_PER_USER", 10)
# Phones get a fifth of the bytes for it; where all are near, it only costs (measured: 30 CPU seconds a GiB against 13).
WS_COMPRESSION: bool = env.bool("WS_COMPRESSION", True)
# A ping so often; without an answer for so long after it a socket is closed (contract 9.6: 120 s after the last frame).
WS_PING_SECONDS: float = env.float("WS_PING_SECONDS", 30)
WS_PONG_SECONDS: float = env.float("WS_PONG_SECONDS", 90)
# What a client may type: so many messages at once, and so many a second in the long run. More is delayed, not lost.
WS_INPUT_BURST: int = env.int("WS_INPUT_BURST", 300)
WS_INPUT_RATE: float = env.float("WS_INPUT_RATE", 20)
TERMINAL_RESUME_SECONDS: int = env.int("TERMINAL_RESUME_SECONDS", 300, least=0)
RECORDING_MAX_BYTES: int = env.int("RECORDING_MAX_BYTES", 50 * 1024 * 1024)  # of one file; there recording stops
RECORDING_DAYS: int = env.int("RECORDING_DAYS", 30)  # after its end a recording is kept for so long
RECORDINGS_MAX_PER_USER: int = env.int("RECORDINGS_MAX_PER_USER", 100)  # the oldest go
# Where recordings lie on this host while they are written. Not for temporary files: what a crash leaves is kept.
RECORDING_WORK_DIR = Path(env.str("RECORDING_WORK_DIR", str(BASE_DIR / "var" / "recording")))
TERMINAL_SHARES_MAX: int = env.int("TERMINAL_SHARES_MAX", 20, least=0)  # guest links of an environment at a time

# --- Metrics: what this process counts, at /metrics, for whoever sends this token. Empty: there is no such address.

METRICS_TOKEN: str = env.str("METRICS_TOKEN", "")

# --- Stopping (docs/operations.md, "Restarting")

# After SIGTERM connections are still taken for so long, while /health/ready says 503: for load balancers that only
# notice that way. 0 for proxies that try the next server when one refuses a connection.
SHUTDOWN_DELAY_SECONDS: float = env.float("SHUTDOWN_DELAY_SECONDS", 0.0, least=0, most=5)
# Each WebSocket is closed within so long, by chance: clients come back one after another.
SHUTDOWN_SPREAD_SECONDS: float = env.float("SHUTDOWN_SPREAD_SECONDS", 5.0, least=0, most=5)

# --- Stored files: recordings of terminals, which nothing but the API gives out. This installation's own: what is in
# `recordings` there and belongs to no row is deleted.

MEDIA_ROOT = Path(env.str("MEDIA_ROOT", str(BASE_DIR / "var" / "media")))
STORAGE_BACKEND: str = env.str("STORAGE_BACKEND", "")
STORAGE_OPTIONS: dict[str, Any] = env.json("STORAGE_OPTIONS", default={})
_storage: dict[str, Any]
if STORAGE_BACKEND:
    _storage = {"BACKEND": STORAGE_BACKEND, "OPTIONS": STORAGE_OPTIONS}
else:
    _private = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
    _storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": _private}
STORAGES: dict[str, dict[str, Any]] = {
    "default": _storage,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- Mail, files, language

EMAIL_OUTBOX = BASE_DIR / "var" / "outbox"
EMAIL_URL: str = env.required("EMAIL_URL", "codes and links are mailed, as smtp+tls://user:password@host", unless=DEBUG)
vars().update(settings_checks.mail_settings(EMAIL_URL, production=not DEBUG, outbox=EMAIL_OUTBOX))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "") or settings_checks.sender(PUBLIC_URL)

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
WEB_CLIENT = BASE_DIR / "devpocket" / "web" / "dist"  # as `make web` builds it, with .br and .gz beside what is text
STATICFILES_DIRS = [("web", WEB_CLIENT)]
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/web/assets/"  # the name of each has the hash of its content
WHITENOISE_MIMETYPES = {".webmanifest": "application/manifest+json"}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Requests

API_BODY_LIMIT_BYTES = 1024 * 1024  # contract section 1
# How long a client may take over a request's head, its body, and over taking nothing of an answer (manage.py serve).
REQUEST_HEAD_SECONDS: float = env.float("REQUEST_HEAD_SECONDS", 10)
REQUEST_BODY_SECONDS: float = env.float("REQUEST_BODY_SECONDS", 30)
RESPONSE_STALL_SECONDS: float = env.float("RESPONSE_STALL_SECONDS", 60)
CORS_URLS_REGEX = r"^/(api|health)(/|\Z)"
CORS_ALLOW_METHODS = "GET HEAD OPTIONS POST PUT PATCH DELETE".split()
CORS_ALLOW_HEADERS = "accept authorization content-type idempotency-key x-devpocket-status x-request-id".split()
# Contract section 10, and what else our answers say in headers.
CORS_EXPOSE_HEADERS = (
    "X-Total-Count Link X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset X-Request-ID Retry-After Location "
    "X-Applies Idempotency-Replayed Content-Disposition"
).split()
API_DOCS: bool = env.bool("API_DOCS", True)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.AccessTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["devpocket.parsers.ApiJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "devpocket.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "devpocket.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# --- Security

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_PATH = "/admin"  # only operators have one
SESSION_COOKIE_AGE = 8 * 3600

# For `make run`: the operator that it makes.
DEVPOCKET_ADMIN_PASSWORD: str = env.str("DEVPOCKET_ADMIN_PASSWORD", "")

# W001, W002: these headers are on every answer (devpocket/middleware.py). W003: page_middleware.py has it. W004: the
# API runs without the web client too.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003", "staticfiles.W004"]

LOGGING_CONFIG = None  # configured here, once, so that settings errors are the first thing seen
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO").upper()
settings_checks.check_formats(globals())
if not DEBUG:
    settings_checks.check_strength(globals())
logging_config(json=not DEBUG, level=LOG_LEVEL)
