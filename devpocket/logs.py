"""Log lines as events with fields: readable in development, JSON in production. Secrets are scrubbed last.

What a line is about is bound once, where it is known (`about`), and is then on every line below: request_id, user_id,
environment_id. asyncio copies it to the tasks that are begun there; what outlives its first user gets a context of its
own.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
import uuid
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

SCRUBBED = "[scrubbed]"
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
        "ticket",
        "token",
        "user_data",
        "user_password",
    }
)
# What is a secret by its looks, wherever it stands in a line: in a library's text, a traceback, a nested field.
SECRET_TEXTS = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?                        # a JWT
    | (?:dop|doo|dor)_v1_[0-9a-f]+                             # a token of the cloud
    | (?<=\bBearer\ )[\w.~+/=-]+ | (?<=\bBasic\ )[\w.~+/=-]+
    | (?<=://)[^\s/@"']+(?=@)                                  # name and password in a URL
    | (?<=\?)[\w%.-]+=[^\s"'\\<>]*                             # a query
    | \#cloud-config.*                                         # what a machine is set up with
    """,
    re.VERBOSE | re.DOTALL,
)
SECRET_HINTS = ("-----BEGIN", "eyJ", "_v1_", "Bearer", "Basic", "://", "?", "#cloud-config")  # one is in each of them
NAMES = {"environment": "environment_id", "user": "user_id"}  # as they are written, and as they are searched for
OWN_LOGGERS = ("devpocket", "accounts", "templates_catalog", "environments", "terminals")


def about(**fields: Any) -> None:
    """Put these on every line of what runs here from now on; None, or an id that is none, is left out."""
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in fields.items() if value is not None})


def uuid_or_none(text: object) -> str | None:
    """An id from outside, where it is one: anybody's text is kept out of the fields that lines are searched by."""
    try:
        return str(uuid.UUID(str(text)))
    except ValueError:
        return None


def name_alike(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The fields of a line that names its environment and user itself, as those that were bound. The line's own win."""
    for short, name in NAMES.items():
        if short in event:
            event[name] = event.pop(short)
    return event


def scrub(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of every field that names a secret. A net below the rule that none is logged at all."""
    for field, value in event.items():
        if field in SECRET_FIELDS:
            event[field] = SCRUBBED
        elif isinstance(value, dict):
            event[field] = scrub(_logger, _method, dict(value))
    return event


def json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """The line as JSON. Where something in it looks like a secret, that is replaced field by field, so that it stays
    JSON. Most lines have nothing of the kind, which is soon seen.
    """
    line = _json(event)
    return _json(_scrubbed(event)) if any(hint in line for hint in SECRET_HINTS) else line


def _json(event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _scrubbed(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrubbed(part) for part in value]
    if value is None or isinstance(value, int | float):
        return value
    return SECRET_TEXTS.sub(SCRUBBED, str(value))


def scrub_line(_logger: WrappedLogger, _method: str, line: str) -> str:
    """The same in a line that is written already."""
    return SECRET_TEXTS.sub(SCRUBBED, line)


def away_in_short(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A store that is away is met by many, and no bug of theirs: a warning without a traceback."""
    given = event.get("exc_info")
    if given:
        from devpocket.errors import is_away  # not before settings are there, which import this module

        error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
        if is_away(error):
            del event["exc_info"]
            event["level"], event["error"] = "warning", f"{type(error).__name__}: {error}"[:200]
    return event


def _shared() -> list[Any]:
    """What is done to every line, ours or a library's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        away_in_short,
        name_alike,
        scrub,
    ]


def line_formatter(*, json: bool) -> logging.Formatter:
    """Writes a record as the line that production (`json`) or development shows."""
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, json_line]
        if json
        else [
            structlog.dev.ConsoleRenderer(pad_event_to=28, exception_formatter=structlog.dev.plain_traceback),
            scrub_line,
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def logging_config(*, json: bool, level: str) -> None:
    """Set up structlog and the standard library's logging as one stream to standard error.

    `level` is for our own lines. Libraries tell of warnings and no more, whatever it is: below that some of them print
    queries, headers, and what goes over a socket.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": line_formatter, "json": json}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level if level in ("ERROR", "CRITICAL") else "WARNING"},
            "loggers": {
                **{name: {"level": level} for name in OWN_LOGGERS},
                # These print whole request lines, and a WebSocket's may carry a token; ours is in access_log.py.
                "uvicorn.access": {"level": "CRITICAL"},
                "django.channels.server": {"level": "CRITICAL"},
                "django.request": {"level": "ERROR"},
            },
        }
    )
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
