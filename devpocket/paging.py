"""Lists as bare arrays, with the page in the headers (contract section 1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.errors import InvalidInput
from devpocket.fixed_query import FixedRows

LIMIT_DEFAULT, LIMIT_MAX = 100, 200
FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


def _whole_number(request: Request, name: str, default: int, low: int, high: int | None) -> int:
    raw = request.query_params.get(name)
    if raw is None:
        return default
    message = f"{name} must be a whole number from {low}" + (f" to {high}." if high is not None else ".")
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 9):
        raise InvalidInput.field(name, message)
    value = int(raw)
    if value < low:
        raise InvalidInput.field(name, message, "min_value")
    if high is not None and value > high:
        raise InvalidInput.field(name, message, "max_value")
    return value


def flag(query: QueryDict, name: str) -> bool:
    """What the query says of `name`, false unless it does. Raises: InvalidInput."""
    word = query.get(name, "").lower()
    if word not in FLAGS:
        raise InvalidInput.field(name, f"{name} is true or false.")
    return FLAGS[word]


class Page:
    """The slice that a request asks for. Raises: InvalidInput, where `limit`, `offset` or `envelope` is none."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.limit = _whole_number(request, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX)
        self.offset = _whole_number(request, "offset", 0, 0, None)
        self.is_wrapped = flag(request.query_params, "envelope")

    def cut(self, rows: QuerySet[Any] | FixedRows[Any]) -> tuple[list[Any], int]:
        """The page's rows, and how many there are in all."""
        cut = list(rows[self.offset : self.offset + self.limit])
        is_all = self.offset == 0 and len(cut) < self.limit
        return cut, len(cut) if is_all else rows.count()

    def response(self, items: list[Any], total: int, *, plural: str) -> Response:
        """200 with the array, or with `?envelope=true` the wrapped form, and X-Total-Count and Link."""
        headers = {"X-Total-Count": str(total)}
        if links := self._links(total):
            headers["Link"] = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items())
        if self.is_wrapped:
            more = self.offset + len(items) < total
            body: Any = {plural: items, "total": total, "limit": self.limit, "offset": self.offset, "has_more": more}
            return Response(body, headers=headers)
        return Response(items, headers=headers)

    def _links(self, total: int) -> dict[str, str]:
        last = max(0, (total - 1) // self.limit * self.limit)
        offsets: dict[str, int] = {}
        if self.offset > 0:
            offsets |= {"first": 0, "prev": max(0, self.offset - self.limit)}
        if self.offset + self.limit < total:
            offsets |= {"next": self.offset + self.limit, "last": last}
        return {rel: self._url(offset) for rel, offset in offsets.items()}

    def _url(self, offset: int) -> str:
        query = {**self.request.query_params.dict(), "limit": self.limit, "offset": offset}
        return self.request._request.build_absolute_uri(f"{self.request.path}?{urlencode(query)}")
