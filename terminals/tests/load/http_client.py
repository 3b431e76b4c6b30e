"""Requests over connections that are kept: llhttp on the loop's own callbacks, a quarter of what `requests` costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

FAILED = (OSError, httptools.HttpParserError)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)  # by names in lower case
    body: bytes = b""
    is_second: bool = False  # the connection that was asked first closed just then


class HttpClient:
    """Of one server. Requests don't wait for one another: there are as many connections as answers to come."""

    def __init__(self, url: str) -> None:
        self._host, _, port = urlsplit(url).netloc.partition(":")
        self._port = int(port)
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Raises: FAILED, where no answer comes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "\r\n"]).encode() + body
        kept = next((one for one in self._taken() if one.is_open), None)
        if kept is not None:
            try:
                return await self._ask(kept, request)
            except OSError:
                if kept.has_begun:
                    raise
        _, made = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        answer = await self._ask(made, request)
        answer.is_second = kept is not None  # a proxy that is reloaded closes idle connections; phones ask again, too
        return answer

    def _taken(self) -> Iterator[_Connection]:
        while self._idle:
            yield self._idle.pop()  # the one used last, so that few are

    async def _ask(self, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return answer


class _Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self) -> None:
        self.is_open = True
        self.has_begun = False  # to answer what it was asked last
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        self.has_begun = False
        self._answer, self._answered = Answer(), asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("closed before the answer"))

    def _fail(self, error: Exception) -> None:
        self.close()
        if not self._answered.done():
            self._answered.set_exception(error)

    # --- httptools.HTTPProtocol

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode().lower()] = value.decode()

    def on_body(self, part: bytes) -> None:
        self._answer.body += part

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        if not self._answered.done():
            self._answered.set_result(self._answer)
