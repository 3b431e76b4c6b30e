"""How the API is described (drf-spectacular). What all routes have in common is said here, once; the rest is theirs.

`@refuses` names what a route refuses beside that, `@paged` makes a route a list of the contract's kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated

from devpocket.errors import KNOWN_FIELD_CODES, DomainError
from devpocket.paging import FLAGS, LIMIT_DEFAULT, LIMIT_MAX

Endpoint = tuple[str, str, str, Callable[..., object]]  # path, path as a pattern, method, view
Handler = TypeVar("Handler", bound=Callable[..., Any])
Schema = dict[str, Any]

# What an address is made of, by the segment before it and the pattern's name for it.
PATH_NAMES = {
    ("environments", "pk"): "environment_id",
    ("snapshots", "sid"): "snapshot_id",
    ("terminal-shares", "sid"): "share_id",
    ("terminal-recordings", "pk"): "recording_id",
    ("environments/{environment_id}/sessions", "name"): "session",
}
PATH_PARAMETERS = {
    "environment_id": (OpenApiTypes.UUID, "The environment's `id`."),
    "snapshot_id": (OpenApiTypes.UUID, "The snapshot's `id`."),
    "share_id": (OpenApiTypes.UUID, "The guest link's `id`."),
    "recording_id": (OpenApiTypes.UUID, "The recording's `id`."),
    "session_id": (OpenApiTypes.UUID, "The `id` of a sign-in."),
    "key_id": (OpenApiTypes.UUID, "The key's `id`."),
    "session": (OpenApiTypes.STR, "The terminal session's `name`, or its `session`."),
    "name": (OpenApiTypes.STR, "The template's name in any case, or another name that it is known under."),
    "cluster_id": (OpenApiTypes.STR, "None is known."),
}

HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "Names this request in our logs: what the request sent in this header, or one of ours.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "required": True,
    },
    "X-RateLimit-Limit": {
        "description": "Requests in a window, of the tightest limit that applies.",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    },
    "X-RateLimit-Remaining": {
        "description": "What is left of it.",
        "schema": {"type": "integer", "minimum": 0},
        "required": True,
    },
    "X-RateLimit-Reset": {
        "description": "When the next window begins, in seconds since 1970.",
        "schema": {"type": "integer"},
        "required": True,
    },
    "X-Total-Count": {
        "description": "How many there are on all pages.",
        "schema": {"type": "integer", "minimum": 0},
        "required": True,
    },
    "Link": {
        "description": "RFC 8288: the first, prev, next and last page, where there are.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds until it is worth another try, as `retry_after` in the body.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}, "required": True},
}
TAGS = {  # by the first word of an address, where it isn't that word
    "auth": "sign-in",
    "web": "sign-in",
    "ws": "terminals",
    "terminal-recordings": "terminals",
    "regions": "service",
    "sizes": "service",
    "clusters": "service",
    "info": "service",
    "health": "service",
}
STATUSES = {"200": "Done.", "201": "Created.", "204": "Done; no body."}
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

REFUSALS = {
    400: "The request can't be read.",
    401: "Not signed in, or not any more.",
    403: "Signed in, but not allowed.",
    404: "There is none, or it is somebody else's.",
    409: "Not as things are now.",
    413: "The body has more than 1 MiB.",
    415: "The body is no `application/json`.",
    422: "A value can't be taken: `errors` says which, and why.",
    429: "Too many requests.",
    500: "A mistake of ours.",
    502: "The cloud didn't do what this needs.",
    503: "Not now; later.",
}

PAGING = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        description="Entries of a page.",
    ),
    OpenApiParameter(
        "offset",
        {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
        description="Entries before the page.",
    ),
    OpenApiParameter(
        "envelope",
        {"type": "string", "enum": sorted(FLAGS), "default": "false"},
        description="true: an object with the array and its page, for clients that read no headers.",
    ),
]


class FieldErrorSerializer(serializers.Serializer):
    field = serializers.CharField(help_text="Dotted path; `non_field_errors` for the body as a whole.")
    message = serializers.CharField(help_text="A sentence for people.")
    code = serializers.CharField(
        help_text=f"One of {', '.join(f'`{code}`' for code in sorted(KNOWN_FIELD_CODES))}, or the answer's own."
    )


class RefusalSerializer(serializers.Serializer):
    """Every answer that isn't 2xx. Programs go by `code`, whose meaning never changes; people read `detail`."""

    detail = serializers.CharField(help_text="One sentence for people.")
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True, help_text="What is wrong with which field; often none.")
    context = serializers.DictField(allow_null=True, help_text="What a program may need to know, by code.")
    timestamp = serializers.DateTimeField()
    path = serializers.CharField(help_text="Of the request, without its query.")
    request_id = serializers.CharField()
    retry_after = serializers.IntegerField(required=False, min_value=1, help_text="Seconds, as in `Retry-After`.")

    class Meta:
        ref_name = "Error"


def refuses(*errors: type[DomainError]) -> Callable[[Handler], Handler]:
    """The handler may raise these, beside what any route may."""

    def mark(handler: Handler) -> Handler:
        handler.refusals = errors  # type: ignore[attr-defined]
        return handler

    return mark


def paged(plural: str) -> Callable[[Handler], Handler]:
    """The handler answers `devpocket.paging.Page.response(..., plural=plural)`."""

    def mark(handler: Handler) -> Handler:
        handler.plural = plural  # type: ignore[attr-defined]
        return handler

    return mark


def as_they_are_called(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Routes answer with and without a trailing slash; the shorter one is shown. Ids are named after what they name."""
    return [(_shown_path(path), pattern, method, view) for path, pattern, method, view in endpoints]


def _shown_path(path: str) -> str:
    path = path.rstrip("/")
    for (before, name), shown in PATH_NAMES.items():
        path = path.replace(f"/{before}/{{{name}}}", f"/{before}/{{{shown}}}")
    return path


class ApiSchema(AutoSchema):  # type: ignore[no-untyped-call]
    """An operation with what it has in common with all others: headers, refusals, pages."""

    @property
    def handler(self) -> Any:
        return getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)

    @property
    def plural(self) -> str | None:
        return getattr(self.handler, "plural", None)

    def get_override_parameters(self) -> list[Any]:
        names = re.findall(r"\{(\w+)\}", self.path)
        return [
            *(
                OpenApiParameter(
                    name, PATH_PARAMETERS[name][0], OpenApiParameter.PATH, description=PATH_PARAMETERS[name][1]
                )
                for name in names
            ),
            *getattr(self.view, "common_parameters", []),
            *(PAGING if self.plural else []),
        ]

    def get_operation_id(self) -> str:
        """Like environments_list; without `_create` where a POST adds to no list: environments_start, auth_login."""
        name: str = super().get_operation_id()
        if not self.path.startswith("/api/"):  # the health endpoints are at both
            return f"probe_{name}"
        has_list = "get" in (getattr(self.view, "action_map", None) or ()) or hasattr(self.view, "get")
        return name if self.method != "POST" or has_list else name.removesuffix("_create")

    def get_request_serializer(self) -> Any:
        """Only what is declared: nothing is guessed."""
        return None

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        if self.method != "DELETE" or self.get_request_serializer() is None:
            return super()._get_request_body(direction)  # type: ignore[no-any-return]
        self.method = "POST"  # drf-spectacular looks at no DELETE's body
        try:
            return super()._get_request_body(direction)  # type: ignore[no-any-return]
        finally:
            self.method = "DELETE"

    def get_summary(self) -> str:
        """The first sentence of the description; else what the operation's name says."""
        first = re.split(r"(?<=[.;:])\s", self.get_description() or "", maxsplit=1)[0].rstrip(".;:")
        if 0 < len(first) <= 80:
            return first
        return self.get_operation_id().replace("_", " ").capitalize()

    def get_tags(self) -> list[str]:
        words = self._tokenize_path()
        if words[0] == "environments" and len(words) > 1 and words[1] in ("sessions", "terminal-shares"):
            return ["terminals"]
        return [TAGS.get(words[0], words[0])]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Schema]:
        bodies: dict[str, Schema] = super()._get_response_bodies(direction)
        for status, body in bodies.items():
            body["description"] = body.get("description") or STATUSES.get(status, "")
            names = ["X-Request-ID", *(RATE_HEADERS if self.view.throttle_classes else ())]
            if self.plural and status == "200":
                names += ["X-Total-Count", "Link"]
                for content in body["content"].values():
                    content["schema"] = self._page_of(content["schema"])
            body["headers"] = {**{name: self._header(name) for name in names}, **body.get("headers", {})}
        for code, refused in sorted(self._refusals().items()):
            bodies[str(code)] = self._refusal(code, refused)
        return bodies

    def _page_of(self, array: Schema) -> Schema:
        numbers = {name: {"type": "integer", "minimum": 0} for name in ("total", "limit", "offset")}
        properties = {self.plural: array, **numbers, "has_more": {"type": "boolean"}}
        envelope = {"type": "object", "properties": properties, "required": [*properties]}
        return {"oneOf": [array, {**envelope, "description": "With `?envelope=true`."}]}

    def _refusals(self) -> dict[int, list[str]]:
        """{status: codes}: of every route, of what this one reads, and what it names itself."""
        codes: dict[int, list[str]] = {}
        if not self.view.throttle_classes:  # a health endpoint, which refuses nothing
            return codes
        has_body = self._get_request_body() is not None
        codes[400] = ["malformed_json", "invalid_input"] if has_body else ["invalid_input"]
        if self.view.get_authenticators():
            codes[401] = ["token_invalid", "token_expired"]
            if any(isinstance(permission, IsAuthenticated) for permission in self.view.get_permissions()):
                codes[401] = ["not_authenticated", *codes[401]]
        if "{" in self.path:
            codes[404] = ["not_found"]
        if has_body:
            codes |= {413: ["invalid_input"], 415: ["invalid_input"]}
        if has_body or any(parameter["in"] == "query" for parameter in self._checked_parameters()):
            codes[422] = ["invalid_input"]
        codes |= {429: ["rate_limited"], 500: ["internal_error"], 503: ["service_unavailable"]}
        for error in [*getattr(self.view, "refusals", ()), *getattr(self.handler, "refusals", ())]:
            known = codes.setdefault(error.http_status, [])
            if error.code not in known:
                known.append(error.code)
        return codes

    def _checked_parameters(self) -> list[Schema]:
        """`status_format` has no wrong values."""
        return [parameter for parameter in self._get_parameters() if parameter["name"] != "status_format"]

    def _refusal(self, status: int, codes: list[str]) -> Schema:
        headers = ["X-Request-ID"]
        if status not in (400, 500, 503):  # these may be said before anything is counted
            headers += RATE_HEADERS
        headers += ["WWW-Authenticate"] if status == 401 else []
        headers += ["Retry-After"] if status in (429, 502, 503) or "account_locked" in codes else []
        shape = self.resolve_serializer(RefusalSerializer, "response").ref
        schema = {"allOf": [shape, {"type": "object", "properties": {"code": {"enum": codes}}}]}
        component = ResolvedComponent(
            name=f"{status}.{'.'.join(codes)}",
            type=ResolvedComponent.RESPONSE,
            schema={
                "description": f"{REFUSALS[status]} `code`: {', '.join(f'`{code}`' for code in codes)}.",
                "headers": {name: self._header(name) for name in headers},
                "content": {"application/json": {"schema": schema}},
            },
            object=f"{status} {codes}",
        )
        self.registry.register_on_missing(component)
        return dict(component.ref)

    def _header(self, name: str) -> Schema:
        component = ResolvedComponent(name=name, type=ResolvedComponent.HEADER, schema=HEADERS[name], object=name)
        self.registry.register_on_missing(component)
        return dict(component.ref)

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Schema:
        """`Meta.one_of`: names of fields that mean the same, of which a request needs one."""
        schema: Schema = super()._map_serializer(serializer, direction, bypass_extensions)
        names = getattr(getattr(serializer, "Meta", None), "one_of", ())
        if names and direction == "request":
            schema["anyOf"] = [{"required": [name], "properties": {name: {"type": "string"}}} for name in names]
        return schema
