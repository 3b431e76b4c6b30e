"""HTTP requests and replies as the handlers see them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from environments.localcloud.faults import Fault

Row = TypeVar("Row")

# The error ids that go with the codes (specification, components/responses), and two of our own.
ERROR_IDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "server_error",
    503: "service_unavailable",
}
PER_PAGE, PER_PAGE_MOST = 20, 200  # specification, components/parameters/per_page


class ApiError(Exception):
    """A refusal: an HTTP status and a sentence for people."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


def not_found() -> ApiError:
    """What is not there, in the specification's words."""
    return ApiError(404, "The resource you were accessing could not be found.")


def unprocessable(message: str) -> ApiError:
    """A well-formed request that asks for something that can't be."""
    return ApiError(422, message)


@dataclass
class Request:
    """One HTTP request. `base_url` is what the client calls us, for absolute links."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    base_url: str
    fault: Fault | None = None
    fault_happened: bool = False

    def json(self) -> dict[str, Any]:
        """The body's JSON object; an empty body counts as `{}`.

        Raises:
            ApiError: 400, it is something else.
        """
        try:
            # Only JSON's own constants: Python's parser would also take NaN and Infinity.
            body = json.loads(self.body or b"{}", parse_constant=lambda name: 1 / 0)
        except (ValueError, ZeroDivisionError, RecursionError):
            raise ApiError(400, "The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise ApiError(400, "The request body must be a JSON object.")
        return body

    def is_fault(self, kind: str) -> bool:
        """Whether this request is to go wrong in this way; who asks makes it so, and it counts as having happened."""
        if self.fault is None or self.fault.kind != kind:
            return False
        self.fault_happened = True
        return True

    def action_fault(self) -> str | None:
        """The fault of the action that this request starts."""
        return next((kind for kind in ("action_error", "action_hang") if self.is_fault(kind)), None)

    def late_s(self) -> float:
        """For how many seconds what this request creates is missing in lists."""
        return (self.fault.seconds or 0.0) if self.fault and self.is_fault("late_listing") else 0.0


@dataclass
class Reply:
    """One HTTP answer; no body is an empty one, and `html` takes the place of one."""

    status: int
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    html: str | None = None


def error_reply(error: ApiError, request_id: str) -> Reply:
    """An error in the specification's form (components/schemas/error)."""
    body = {
        "id": ERROR_IDS.get(error.status, "server_error"),
        "message": error.message,
        "request_id": request_id,
    }
    return Reply(error.status, body, error.headers)


def _whole_number(request: Request, name: str, default: int, most: int | None) -> int:
    text = request.query.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if number < 1 or (most is not None and number > most):
        limit = f" and {most}" if most else " and up"
        raise unprocessable(f"{name} must be a number between 1{limit}.")
    return number


def page(request: Request, key: str, rows: Sequence[Row], show: Callable[[Row], dict[str, Any]]) -> Reply:
    """The page that the request asks for, with the links that make sense there (specification, "Links")."""
    number = _whole_number(request, "page", 1, None)
    per_page = _whole_number(request, "per_page", PER_PAGE, PER_PAGE_MOST)
    last = max(1, math.ceil(len(rows) / per_page))
    links: dict[str, Any] = {}
    wanted: dict[str, int] = {}
    if number > 1:
        wanted.update(first=1, prev=min(number - 1, last))
    if number < last:
        wanted.update(next=number + 1, last=last)
    if wanted:
        links["pages"] = {
            name: f"{request.base_url}{request.path}?{urlencode({**request.query, 'page': target})}"
            for name, target in wanted.items()
        }
    start = (number - 1) * per_page
    body = {key: [show(row) for row in rows[start : start + per_page]], "links": links, "meta": {"total": len(rows)}}
    return Reply(200, body)
