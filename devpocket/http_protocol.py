"""uvicorn's HTTP, with limits to what a client may keep: how large its request is, and how long it takes over it.

A request's head and body have to come within their times; an answer has to be taken, however slowly. Who is refused
gets the contract's error body, and a moment to read it; the connection is read no further.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import uuid
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
import structlog
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devpocket import counters, stopping
from devpocket.errors import error_body
from devpocket.security_headers import security_headers

log = structlog.get_logger(__name__)

HEAD_MAX_BYTES = 32 * 1024  # address and headers; tokens have 1 KiB
CHUNKING_FACTOR = 8  # what a body may have on the wire, in sizes of its own: a byte in a chunk of its own takes 6
LOOK_EVERY_S = 1.0
LINGER_S = 2.0  # between a refusal and the end: closed at once, with more on its way, the client may never see it
IDLE_CLOSED_S = (4.0, 5.0)  # when idle connections are closed after the server was told to stop: the proxy was faster
LENGTH = re.compile(rb"[0-9]{1,18}\Z")


class HttpProtocol(HttpToolsProtocol):
    """Refuses before the application sees anything: 408 (too slow), 413 (body), 431 (head), 400 (no HTTP)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._watch: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._began_at: float | None = None  # of a request that is not here as a whole yet, or of the connection
        self._in_body = False
        self._wire_bytes = 0  # of the head, then of the body, as they came
        self._body_bytes = 0
        self._unsent = (0, 0.0)  # what lay in the transport's buffer, and since when it has not become less

    # --- A connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began_at = self.loop.time()
        self._watch = self.loop.call_later(LOOK_EVERY_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._unsent = (0, 0.0)  # it takes what it is sent
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        if self._is_refused:
            return
        self._end_watch()  # WebSocketProtocol has limits of its own
        super().handle_websocket_upgrade()

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        now = self.loop.time()
        self._watch = self.loop.call_later(LOOK_EVERY_S, self._look)
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent[0] or not self._unsent[0]:
            self._unsent = (unsent, now)
        elif now - self._unsent[1] >= settings.RESPONSE_STALL_SECONDS:
            log.info("client_cut_off", reason="takes no answer", unsent_bytes=unsent)
            self.transport.abort()
            return
        if self._began_at is None or self._is_refused:
            return
        limit_s = settings.REQUEST_BODY_SECONDS if self._in_body else settings.REQUEST_HEAD_SECONDS
        if self.flow.read_paused or (self._owes_an_answer() and not self._in_body):  # it waits for us
            self._began_at = now
        elif now - self._began_at >= limit_s:
            if self._wire_bytes or self._in_body:
                self._refuse(408, "The request took too long.")
            else:  # a connection without a request: nobody to tell
                self.transport.close()

    def shutdown(self) -> None:
        """The server stops: each answer is the last of its connection. One that seems idle may be about to be used."""
        if self._owes_an_answer():
            super().shutdown()
        else:
            self.loop.call_later(random.uniform(*IDLE_CLOSED_S), super().shutdown)  # noqa: S311

    # --- What comes in

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._began_at is None and not self._owes_an_answer():
            self._began_at = (
                self.loop.time()
            )  # the next request's first byte; on_message_begin waits for the line's end
        self._wire_bytes += len(data)
        super().data_received(data)
        if self._is_refused or self._began_at is None:
            return
        if not self._in_body and self._wire_bytes > HEAD_MAX_BYTES:
            self._refuse(431, "The request's headers are too large.")
        elif self._in_body and self._wire_bytes > settings.API_BODY_LIMIT_BYTES * CHUNKING_FACTOR:
            self._refuse_body()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_body, self._body_bytes = False, 0
        self._began_at = self._began_at or self.loop.time()

    def on_headers_complete(self) -> None:
        if self._is_refused:
            return
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_MAX_BYTES:
            return self._refuse(431, "The request's headers are too large.")
        declared = [value for name, value in self.headers if name == b"content-length"]
        if any(not LENGTH.match(value) or int(value) > settings.API_BODY_LIMIT_BYTES for value in declared):
            return self._refuse_body()
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        if has_body and self.parser.should_upgrade() and not self._should_upgrade():
            # llhttp takes the head for the whole request then, and the body for the next: another client's, on a
            # connection that a proxy keeps.
            return self._refuse(400, "This server speaks nothing but HTTP/1.1 and WebSocket.")
        super().on_headers_complete()
        if stopping.is_begun() and self.cycle is not None:
            self.cycle.keep_alive = False
        self._in_body, self._wire_bytes, self._began_at = True, 0, self.loop.time()

    def on_body(self, body: bytes) -> None:
        if self._is_refused:
            return
        self._body_bytes += len(body)
        if self._body_bytes > settings.API_BODY_LIMIT_BYTES:
            return self._refuse_body()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_refused:
            return
        super().on_message_complete()
        self._began_at, self._in_body, self._wire_bytes = None, False, 0

    # --- Refusing

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "This is no HTTP request that can be read.")

    def _refuse_body(self) -> None:
        self._refuse(413, "The request is larger than 1 MiB.")

    def _refuse(self, status: int, detail: str) -> None:
        """Answer instead of the application, and close. Where it has begun to answer: only close."""
        if self._is_refused:
            return
        self._is_refused = True
        path = self._path()
        request_id = uuid.uuid4().hex
        counters.request_refused(status)
        address = self.client[0] if self.client else ""
        told = {"request_id": request_id, "status": status, "path": path, "address": address}
        log.info("client_cut_off", reason=HTTPStatus(status).phrase, **told)
        if self._owes_an_answer():
            self.cycle.disconnected = True  # the application is told, and whatever it still sends goes nowhere
            self.cycle.message_event.set()
            # What it owes may be the answer to an earlier request: this one must not be taken for it.
            if self.cycle.response_started or self.pipeline or not self._in_body:
                self.transport.close()
                return
        self.transport.write(_answer(status, detail, path, request_id))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _owes_an_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _path(self) -> str:
        try:
            path: bytes = httptools.parse_url(self.url).path or b"/"
            return unquote(path.decode("ascii"))[:1000]
        except (AttributeError, httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            return "/"


def _answer(status: int, detail: str, path: str, request_id: str) -> bytes:
    body = json.dumps(error_body(code="invalid_input", detail=detail, path=path, request_id=request_id)).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Request-ID": request_id,
        **security_headers(path),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
