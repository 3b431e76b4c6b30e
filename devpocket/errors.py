"""One shape for every refusal (contract section 2.2), over HTTP and WebSocket.

A refusal is a `DomainError`. Anything else that reaches `exception_handler` is a bug: 500, traceback in the log only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from devpocket.times import time_text

log = structlog.get_logger(__name__)

# What a database that is away raises, in the middle of something too, and where two wait for each other: asking again
# helps.
DATABASE_AWAY = (OperationalError, InterfaceError)
AWAY_RETRY_S = 5  # told to whoever needs what is away just now
UNAVAILABLE_TEXT = "The service is not available right now. Please try again in a moment."

FieldError = dict[str, str]  # {"field": dotted path, "message": sentence, "code": one of contract 2.3}


class DomainError(Exception):
    """A refusal that its reader can act on. `code` is stable; `message` is one sentence for people."""

    code = "internal_error"
    http_status = 500

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = list(errors)
        self.retry_after_s = retry_after_s
        self.context = context


class InvalidInput(DomainError):
    """The request is well-formed, but a value in it can't be taken."""

    code, http_status = "invalid_input", 422

    @classmethod
    def field(cls, field: str, message: str, code: str = "invalid") -> InvalidInput:
        return cls(message, errors=[{"field": field, "message": message, "code": code}])


class NotFound(DomainError):
    """Unknown, or somebody else's: the two can't be told apart from outside."""

    code, http_status = "not_found", 404


class ServiceUnavailable(DomainError):
    code, http_status = "service_unavailable", 503


# Django REST framework's codes for fields, where the contract has another word.
FIELD_CODES = {
    "invalid_choice": "unknown_choice",
    "does_not_exist": "unknown_choice",
    "unique": "taken",
    "max_string_length": "max_length",
    "empty": "blank",
}
KNOWN_FIELD_CODES = frozenset(
    {
        "required",
        "null",
        "blank",
        "invalid",
        "min_length",
        "max_length",
        "min_value",
        "max_value",
        "weak_password",
        "common_password",
        "taken",
        "unknown_choice",
        "immutable",
    }
)
HTTP_CODES = {
    400: "malformed_json",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "invalid_input",
    415: "invalid_input",
    429: "rate_limited",
    503: "service_unavailable",
}
INTERNAL_ERROR_TEXT = "Something went wrong on our side. Please try again."


def is_away(error: BaseException | None) -> bool:
    """Whether it says that something we need is out of reach for now: the database, the cache, the channel layer."""
    return isinstance(error, (*DATABASE_AWAY, ServiceUnavailable, RedisConnectionError, RedisTimeoutError))


def error_body(
    *,
    code: str,
    detail: str,
    path: str,
    request_id: str,
    errors: Sequence[FieldError] = (),
    context: Mapping[str, Any] | None = None,
    retry_after_s: int | None = None,
) -> dict[str, Any]:
    """The contract's error body (section 2.2)."""
    body: dict[str, Any] = {
        "detail": detail,
        "code": code,
        "errors": list(errors),
        "context": dict(context) if context else None,
        "timestamp": time_text(datetime.now(UTC)),
        "path": path,
        "request_id": request_id,
    }
    if retry_after_s is not None:
        body["retry_after"] = retry_after_s
    return body


def field_errors(detail: Any, prefix: str = "") -> list[FieldError]:
    """Flatten what a serializer collected ({"a": {"b": [ErrorDetail]}}) into dotted paths, in its order."""
    if isinstance(detail, Mapping):
        # What is wrong with an object as a whole belongs to the field that holds it.
        names = {key: "" if key == "non_field_errors" else str(key) for key in detail}
        return [
            error
            for key, value in detail.items()
            for error in field_errors(value, ".".join(filter(None, (prefix, names[key]))))
        ]
    if isinstance(detail, list):
        found: list[FieldError] = []
        for index, value in enumerate(detail):
            nested = isinstance(value, Mapping | list)
            found += field_errors(value, f"{prefix}.{index}" if nested and prefix else prefix)
        return found
    field = prefix or "non_field_errors"
    code = FIELD_CODES.get(detail.code, detail.code)
    label = field.rpartition(".")[2].replace("_", " ").capitalize()
    message = str(detail) if field == "non_field_errors" else str(detail).replace("This field", label, 1)
    return [{"field": field, "message": message, "code": code if code in KNOWN_FIELD_CODES else "invalid"}]


def _as_domain_error(error: Exception) -> DomainError:
    """What the libraries raise, as ours. Anything unknown becomes an internal error that says nothing."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, DATABASE_AWAY):
        return ServiceUnavailable(UNAVAILABLE_TEXT, retry_after_s=AWAY_RETRY_S)
    if isinstance(error, drf.ValidationError):
        errors = field_errors(error.detail)
        return InvalidInput(errors[0]["message"] if errors else "The request can't be taken as it is.", errors=errors)
    if isinstance(error, Http404):
        return NotFound("There is nothing here.")
    if isinstance(error, PermissionDenied):
        error = drf.PermissionDenied()
    if isinstance(error, drf.APIException):
        wait = getattr(error, "wait", None)
        refusal = DomainError(
            "Too many requests. Please wait a moment." if error.status_code == 429 else str(error.detail),
            retry_after_s=None if wait is None else max(1, math.ceil(wait)),
        )
        refusal.http_status = error.status_code
        refusal.code = HTTP_CODES.get(error.status_code, "internal_error")
        return refusal
    return DomainError(INTERNAL_ERROR_TEXT)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what is not of the API, the admin for one."""
    if not is_away(sys.exc_info()[1]):
        return defaults.server_error(request)
    response = HttpResponse(UNAVAILABLE_TEXT, content_type="text/plain", status=503)
    response["Retry-After"] = str(AWAY_RETRY_S)
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER: every exception of an API view becomes the contract's error body."""
    request: HttpRequest = context["request"]._request
    refusal = _as_domain_error(error)
    if refusal.http_status >= 500 and not isinstance(error, DomainError):
        log.exception("request_failed", path=request.path, exc_info=error)
    headers: dict[str, str] = {}
    if refusal.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    body = error_body(
        code=refusal.code,
        detail=refusal.message,
        path=request.path,
        request_id=getattr(request, "request_id", ""),
        errors=refusal.errors,
        context=refusal.context,
        retry_after_s=refusal.retry_after_s,
    )
    return Response(body, status=refusal.http_status, headers=headers)
