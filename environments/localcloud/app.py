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
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from environments.localcloud import api_admin
from environments.localcloud.cloud import Cloud
from environments.localcloud.droplets import PENDING_EVENT
from environments.localcloud.faults import HEADER, BadFault, Fault, Faults
from environments.localcloud.messages import ApiError, Reply, Request, error_reply, not_found, unprocessable
from environments.localcloud.ratelimit import RateLimiter
from environments.localcloud.routes import ROUTES, Handler
from environments.localcloud.traffic import Traffic

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Address = tuple[str, int]

BODY_LIMIT_BYTES = 1024 * 1024  # user-data is 64 KiB, so a real body has a tenth of this
NUMBERS = ("droplet", "action")  # what these stand for in a route's path is a number
ADMIN_PATH = "/_localcloud/"
KEY_LIST = ("GET", "/v2/account/keys")
GATEWAY_PAGE = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"
# Faults that happen to what a request has started, and so only if it has.
AFTERWARDS = frozenset({"action_error", "action_hang", "never_active", "late_listing"})


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
        self.faults = Faults(self.settings.seed)
        self.traffic = Traffic()
        self._router = Router(ROUTES)
        self._admin = Router(api_admin.routes(self.faults, self.traffic))
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
        is_admin = request.path.startswith(ADMIN_PATH)
        entry = {} if is_admin else self.traffic.note(request.method, request.path, request.query)
        started = time.monotonic()
        try:
            reply = await self._answer(request, headers, receive)
        except _ClientGone:
            return
        except ApiError as error:
            reply = error_reply(error, request_id)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            reply = error_reply(ApiError(500, "Server was unable to give you a response."), request_id)
        entry["took_s"] = round(time.monotonic() - started, 6)
        if request.fault and request.fault_happened:
            entry["fault"] = request.fault.kind
            self.faults.given[request.fault.kind] += 1
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
            request.fault = self.faults.take(
                request.method, request.path, request.headers.get(HEADER), action_type=_action_type(request)
            )
        except BadFault as error:
            raise ApiError(400, f"{HEADER}: {error}") from None
        if request.is_fault("hang"):
            await self._hang(request.fault, receive)
            return None
        if request.is_fault("html"):
            headers.clear()  # a gateway knows nothing of them
            return Reply(502, html=GATEWAY_PAGE)
        return await self._act(request)

    async def _hang(self, fault: Fault | None, receive: Receive) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(fault.seconds if fault else None):
                await _until_gone(receive)

    async def _act(self, request: Request) -> Reply | None:
        """Do what is asked, unless a fault of this request has it otherwise."""
        fault = request.fault
        if fault and request.is_fault("slow"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await self.stopping.wait()
        if fault and request.is_fault("status"):
            extra = {"retry-after": "1"} if fault.status in (429, 503) else {}
            raise ApiError(fault.status, "This error was asked for.", headers=extra)
        if request.is_fault("pending"):
            raise unprocessable(PENDING_EVENT)
        loses_answer = request.is_fault("lose_answer")
        try:
            handler, arguments = self._router.find(request.method, request.path)
            reply = await _call(handler, self.cloud, request, arguments)
        except ApiError:
            if loses_answer:
                return None
            # An action, say, that did not even start can't have gone wrong.
            request.fault_happened = request.fault_happened and not (fault and fault.kind in AFTERWARDS)
            raise
        if fault and fault.kind == "vanish":
            request.fault_happened = self._vanish(arguments, reply)
        return None if loses_answer else reply

    def _is_authorized(self, request: Request) -> bool:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.settings.token.encode())

    def _vanish(self, arguments: dict[str, Any], reply: Reply) -> bool:
        """Destroy the droplets that an exchange was about; returns whether there were any."""
        body = reply.body or {}
        shown = [body["droplet"]] if "droplet" in body else body.get("droplets", [])
        ids = {arguments.get("droplet"), *(droplet["id"] for droplet in shown)}
        found = [self.cloud.store.droplets[i] for i in ids if i in self.cloud.store.droplets]
        for droplet in found:
            self.cloud.droplets.destroy(droplet)
        return bool(found)


def _action_type(request: Request) -> str:
    """The type of the action that a request asks for; empty where it asks for none."""
    if request.method != "POST" or not request.path.endswith("/actions"):
        return ""
    try:
        kind = request.json().get("type")
    except ApiError:
        return ""
    return kind if isinstance(kind, str) else ""


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
    body = b""
    if reply.html is not None:
        body, headers["content-type"] = reply.html.encode(), "text/html"
    elif reply.body is not None:
        body, headers["content-type"] = json.dumps(reply.body).encode(), "application/json; charset=utf-8"
    if reply.status != 204:
        headers["content-length"] = str(len(body))
    lines = [(name.encode(), value.encode("latin-1")) for name, value in {**headers, **reply.headers}.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
