"""The edge of the API: request ids, security headers, one error shape, and the access log."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import async_only_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

from devpocket.access_log import WATCH_PATHS, AccessLine, request_id_for
from devpocket.errors import HTTP_CODES, INTERNAL_ERROR_TEXT, error_body
from devpocket.logs import about
from devpocket.security_headers import security_headers
from devpocket.throttling import Standing

API_PATHS = re.compile(r"/(api|health)(/|\Z)")


@async_only_middleware
def static_files(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """WhiteNoise for the paths that are its own. As a middleware it is sync: every request would keep a thread for as
    long as its view takes, and the views that wait for a machine would hold up all others.
    """
    serve = WhiteNoiseMiddleware(lambda request: None)

    async def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(settings.STATIC_URL):
            found: HttpResponse | None = await sync_to_async(serve, thread_sensitive=False)(request)
            if found is not None:
                return found
        return await get_response(request)

    return middleware


@async_only_middleware
def api_edge(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """Outermost: gives each request its id, and each answer what the contract wants on all of them."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        request_id = request_id_for(request.headers.get("X-Request-ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        about(request_id=request_id)
        with AccessLine(request) as line:
            response = _refuse_unknown_host(request) or await get_response(request)
            if response.status_code >= 400 and API_PATHS.match(request.path):
                response = _in_our_shape(request, response)
            _add_headers(request, response, request_id)
            line.response = response
        return response

    return middleware


def _refuse_unknown_host(request: HttpRequest) -> HttpResponse | None:
    """400 where the Host is none of ALLOWED_HOSTS: it would end up in the links that we write.

    Who watches the machine names it by whatever address it knows, and gets no links.
    """
    if WATCH_PATHS.match(request.path):
        return None
    try:
        request.get_host()
    except DisallowedHost:
        return _refusal(request, 400, "This server doesn't answer to this host name.")
    return None


def _in_our_shape(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Replace a page that Django itself wrote (unknown host, a crash outside a view) with the contract's body."""
    if response.get("Content-Type", "").startswith("application/json"):
        return response
    status = response.status_code
    ours = _refusal(request, status, INTERNAL_ERROR_TEXT if status >= 500 else f"{HTTPStatus(status).phrase}.")
    for name, value in response.items():
        if name in ("Allow", "Vary") or name.lower().startswith("access-control-"):
            ours[name] = value
    return ours


def _refusal(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    if status == 400:  # a request that Django itself takes as suspicious; its body was not read
        code = "invalid_input"
    else:
        code = HTTP_CODES.get(status, "internal_error" if status >= 500 else "invalid_input")
    body = error_body(code=code, detail=detail, path=request.path, request_id=request.request_id)  # type: ignore[attr-defined]
    return JsonResponse(body, status=status)


def _add_headers(request: HttpRequest, response: HttpResponse, request_id: str) -> None:
    response["X-Request-ID"] = request_id
    if not (response.streaming or response.has_header("Content-Length") or response.status_code in (204, 304)):
        response["Content-Length"] = str(len(response.content))  # else it would be sent in chunks
    for name, value in security_headers(request.path).items():
        response.headers.setdefault(name, value)
    standing: Standing | None = getattr(request, "rate_limit", None)
    if standing is not None:
        response["X-RateLimit-Limit"] = str(standing.limit)
        response["X-RateLimit-Remaining"] = str(standing.remaining)
        response["X-RateLimit-Reset"] = str(standing.reset_at)
