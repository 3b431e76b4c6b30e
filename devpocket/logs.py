"""Log lines as events with fields: readable in development, JSON in production. Secrets are scrubbed last."""

from __future__ import annotations

import logging.config
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_FIELDS = frozenset(
    {
        "access_token",
        "authorization",
        "code",
        "cookie",
        "current_password",
        "data",
        "new_password",
        "password",
        "private_key",
        "refresh_token",
        "secret",
        "token",
        "user_data",
        "user_password",
    }
)


def scrub(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of every field that names a secret. A net below the rule that none is logged at all."""
    for field in SECRET_FIELDS.intersection(event):
        event[field] = "[scrubbed]"
    return event


def logging_config(*, json: bool, level: str) -> None:
    """Set up structlog and the standard library's logging as one stream to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        scrub,
    ]
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(pad_event_to=28, exception_formatter=structlog.dev.plain_traceback)]
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structlog": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # These print whole request lines, and a WebSocket's may carry a token; ours is in middleware.py.
                "uvicorn.access": {"level": "CRITICAL"},
                "uvicorn.error": {"level": "WARNING"},
                "daphne.http_protocol": {"level": "WARNING"},
                "daphne.ws_protocol": {"level": "WARNING"},
                "django.channels.server": {"level": "CRITICAL"},
                "django.request": {"level": "ERROR"},
                "asyncssh": {"level": "WARNING"},
                "urllib3": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
