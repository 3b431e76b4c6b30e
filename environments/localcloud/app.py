"""The HTTP API as an ASGI application: routing, the token, request limits, faults, errors, the log of requests.

One thing is not ASGI: a connection cut without an answer. For that the server tells us of its transports.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from environments.localcloud import api_admin
from environments.localcloud.cloud import Cloud
from environments.localcloud.faults import HEADER, BadFault, Faults
from environments.localcloud.messages import ApiError, Reply, Request, error_reply, not_found
from environments.localcloud.ratelimit import RateLimiter
from environments.localcloud.routes import ROUTES, Handler

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Address = tuple[str, int]

BODY_LIMIT_BYTES = 1024 * 1024  # user-data is 64 KiB, so a real body has a tenth of this
REQUESTS_KEPT = 10_000
NUMBERS = ("droplet", "action")  # what these stand for in a route's path is a number
ADMIN_PATH = "/_localcloud/"
KEY_LIST = ("GET", "/v2/account/keys")


class _ClientGone(Exception):
    """The client hung up in the middle of its request: half a body is none."""


class Router:
    """Finds the handler for a method and path."""

    def __init__(self, routes: Iterable[tuple[str, str, Handler]]) -> None:
        self._routes = []
        for method, template, handler in routes:
            pattern = re.sub(rf"{{({'|'.join(NUMBERS)})}}", r"(?P<\1>[0-9]{1,18})", template)
            pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern)
            self._routes.append((method, re.compile(pattern), handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, Any]]:
        """The handler and its arguments.

        Raises:
            ApiError: 404 for an unknown path, 405 for a known one with another method.
        """
        known = False
        for route_method, pattern, handler in self._routes:
            if match := pattern.fullmatch(path):
                known = True
                if method == route_method:
                    arguments: dict[str, Any] = {name: unquote(value) for name, value in match.groupdict().items()}
                    arguments.update((name, int(arguments[name])) for name in NUMBERS if name in arguments)
                    return handler, arguments
        raise ApiError(405, "This method is not allowed here.") if known else not_found()


class App:
    """The application. `transports` is filled by the server: client address to transport."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.settings = cloud, cloud.settings
        self.transports: dict[Address, asyncio.Transport] = {}
        self.stopping = asyncio.Event()
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._router = Router(ROUTES)
        self._admin = Router(api_admin.routes(self.faults, self.requests))
        self._limits = RateLimiter(
            per_minute=self.settings.per_minute,
            per_hour=self.settings.per_hour,
            key_lists_per_minute=self.settings.key_lists_per_minute,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served here")
        request = _request(scope)
        request_id = str(uuid.uuid4())
        headers = {"x-request-id": request_id}
        entry = self._note(request)
        try:
            reply = await self._answer(request, headers, receive)
        except _ClientGone:
            return
        except ApiError as error:
            reply = error_reply(error, request_id)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            reply = error_reply(ApiError(500, "Server was unable to give you a response."), request_id)
        entry["took_s"] = round(time.time() - entry["time"], 6)
        entry["fault"] = request.fault.kind if request.fault else None
        if reply is None:
            self.cut([scope["client"]])
            await _until_gone(receive)
            return
        entry["status"] = reply.status
        await _send_reply(send, reply, headers)

    def cut(self, clients: Iterable[Address] | None = None) -> None:
        """End connections at once: those of these clients, or all."""
        for client in list(self.transports if clients is None else clients):
            if transport := self.transports.get(client):
                transport.abort()

    def _note(self, request: Request) -> dict[str, Any]:
        """Put a request into the log; its status stays None as long as, or if, it has no answer."""
        entry: dict[str, Any] = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "status": None,
            "time": time.time(),
            "took_s": None,
            "fault": None,
        }
        if not request.path.startswith(ADMIN_PATH):
            self.requests.append(entry)
        return entry

    async def _answer(self, request: Request, headers: dict[str, str], receive: Receive) -> Reply | None:
        """The reply, or None where there shall be none. `headers` gets what every answer carries."""
        authorized = self._is_authorized(request)
        is_admin = request.path.startswith(ADMIN_PATH)
        verdict = self._limits.admit(
            lists_keys=(request.method, request.path) == KEY_LIST, counts=authorized and not is_admin
        )
        headers.update(verdict.headers)
        request.body = await _read_body(receive)
        if not authorized:
            raise ApiError(401, "Unable to authenticate you")
        if is_admin:
            handler, arguments = self._admin.find(request.method, request.path)
            return await _call(handler, self.cloud, request, arguments)
        if not verdict.allowed:
            raise ApiError(429, "API Rate limit exceeded.")
        try:
            fault = self.faults.take(request.method, request.path, request.headers.get(HEADER))
        except BadFault as error:
            raise ApiError(400, f"{HEADER}: {error}") from None
        request.fault = fault
        if fault and fault.kind == "hang":
            await _until_gone(receive)
            return None
        if fault and fault.kind == "slow":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await self.stopping.wait()
        if fault and fault.kind == "status":
            extra = {"retry-after": "1"} if fault.status in (429, 503) else {}
            raise ApiError(fault.status, "This error was asked for.", headers=extra)
        try:
            handler, arguments = self._router.find(request.method, request.path)
            reply = await _call(handler, self.cloud, request, arguments)
        except ApiError:
            if request.is_fault("lose_answer"):
                return None
            raise
        if request.is_fault("vanish"):
            self._vanish(arguments, reply)
        return None if request.is_fault("lose_answer") else reply

    def _is_authorized(self, request: Request) -> bool:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.settings.token.encode())

    def _vanish(self, arguments: dict[str, Any], reply: Reply) -> None:
        body = reply.body or {}
        shown = [body["droplet"]] if "droplet" in body else body.get("droplets", [])
        for droplet_id in {arguments.get("droplet"), *(droplet["id"] for droplet in shown)}:
            if droplet_id in self.cloud.store.droplets:
                self.cloud.droplets.destroy(self.cloud.store.droplets[droplet_id])


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has hung up, or its connection was cut."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _call(handler: Handler, cloud: Cloud, request: Request, arguments: dict[str, Any]) -> Reply:
    result = handler(cloud, request, **arguments)
    return result if isinstance(result, Reply) else await result


def _request(scope: Scope) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    host = headers.get("host") or "{}:{}".format(*scope["server"])
    # The undecoded path: an encoded slash in a name must not become a separator.
    path = scope["raw_path"].decode("latin-1").partition("?")[0]
    return Request(scope["method"], path, query, headers, b"", f"{scope['scheme']}://{host}")


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT_BYTES:
            raise ApiError(413, "The request body is too large.", headers={"connection": "close"})
    return body


async def _send_reply(send: Send, reply: Reply, headers: dict[str, str]) -> None:
    body = b"" if reply.body is None else json.dumps(reply.body).encode()
    if reply.body is not None:
        headers["content-type"] = "application/json; charset=utf-8"
    if reply.status != 204:
        headers["content-length"] = str(len(body))
    lines = [(name.encode(), value.encode("latin-1")) for name, value in {**headers, **reply.headers}.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
