"""The access log: a line for each request, and two for each WebSocket. What the servers would write holds queries,
and with them tokens.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from types import TracebackType
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from devpocket import counters
from devpocket.logs import about, uuid_or_none
from devpocket.throttling import address_behind, client_address

log = structlog.get_logger("devpocket.access")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
WATCH_PATHS = re.compile(r"/((api/v1/)?health(/live|/ready)?|metrics)/?\Z")  # asked every few seconds, for ever
WATCHED = (200, 503)  # what they answer to those
CLIENT_GONE = 499  # nginx's number, for a client that left before its answer


def request_id_for(given: str) -> str:
    """The caller's own id, where it is one that may stand in logs and headers; else a new one (contract section 1)."""
    return given if REQUEST_ID.match(given) else uuid.uuid4().hex


class AccessLine:
    """The line of one request, written when its answer is complete, or nobody waits for it any more.

    `bytes`: of the body, where it is known before it is sent. The user and the environment were bound by the view.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._began = time.perf_counter()
        self.response: HttpResponse | None = None

    def __enter__(self) -> AccessLine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.response is not None:
            status = self.response.status_code
        else:
            status = CLIENT_GONE if isinstance(error, asyncio.CancelledError) else 500
        if WATCH_PATHS.match(self._request.path) and status in WATCHED:
            return
        user = getattr(self._request, "_cached_user", None)  # of a page, where it was asked for
        if user is not None and user.pk is not None:
            about(user_id=user.pk)
        seconds = time.perf_counter() - self._began
        counters.request_answered(self._request, status, seconds)
        log.info(
            "request",
            method=self._request.method,
            path=self._request.path,  # without the query: it may hold tokens
            status=status,
            ms=round(seconds * 1000, 1),
            bytes=self._body_bytes(),
            address=client_address(self._request),
        )

    def _body_bytes(self) -> int | None:
        if self.response is None:
            return None
        if self.response.streaming:
            length = self.response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None
        return len(self.response.content)


class SocketLines:
    """The two lines of one WebSocket: who opened it, once that is known; and how it ended."""

    def __init__(self, scope: dict[str, Any], kind: str) -> None:
        headers = dict(scope["headers"])
        self._fields = {
            "kind": str(kind),
            "path": scope["path"],
            "address": address_behind(
                (scope.get("client") or ("",))[0], headers.get(b"x-forwarded-for", b"").decode("latin-1")
            ),
        }
        self._began = time.perf_counter()
        self.user_id: uuid.UUID | None = None
        structlog.contextvars.clear_contextvars()
        about(
            request_id=request_id_for(headers.get(b"x-request-id", b"").decode("latin-1")),
            environment_id=uuid_or_none(scope["url_route"]["kwargs"].get("environment_id")),
        )

    def opened(self, *, user_id: uuid.UUID | None, **fields: Any) -> None:
        """It was admitted. What is begun from here on is about this user; None for a guest."""
        self.user_id = user_id
        about(user_id=user_id)
        log.info("socket_opened", **self._fields, **fields)

    def closed(self, code: int | None, reason: str, *, bytes_in: int, bytes_out: int) -> None:
        """`code`: of the close frame, of whichever side; None where the connection just broke. Bytes of messages,
        unpacked; text counts by its characters.
        """
        about(user_id=self.user_id)
        log.info(
            "socket_closed",
            **self._fields,
            close_code=None if code is None else int(code),
            reason=reason,
            seconds=round(time.perf_counter() - self._began, 3),
            bytes_in=bytes_in,
            bytes_out=bytes_out,
        )
