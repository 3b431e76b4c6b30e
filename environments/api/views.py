"""Environments over HTTP (contract section 5). Async: the row is written in a thread, the provisioner does the rest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from accounts.models import Plan
from devpocket.api import AsyncApiViewSet
from devpocket.errors import InvalidInput, NotFound
from devpocket.paging import Page
from devpocket.throttling import Bucket
from environments import services
from environments.api.serializers import ActionSerializer, CreateSerializer, EnvironmentSerializer
from environments.creation import check_may_create, create_from_request
from environments.lifecycle import COMPAT_STATUS, Phase
from environments.models import Environment
from environments.selectors import environments_of, get_environment, phases_for
from templates_catalog.values import ALIASES

TRUE = ("true", "1")


class CreateBucket(Bucket):
    """Creates in an hour, counted by user; more for those who pay for more machines."""

    def bucket_for(self, request: Request) -> str:
        return "create_pro" if request.user.plan in (Plan.PRO, Plan.ADMIN) else "create"

    def key(self, request: Request, view: Any) -> str | None:
        return f"user:{request.user.pk}" if request.user.is_authenticated else None


def wants_full_status(request: Request) -> bool:
    """Clients that know all phases ask for them in `status` (contract 6.2)."""
    wanted = request.headers.get("X-DevPocket-Status") or request.query_params.get("status_format")
    return wanted == "full"


def parse_id(raw: str) -> UUID:
    """Raises: NotFound; a malformed id is as unknown as an unknown one."""
    try:
        return UUID(raw)
    except ValueError as error:
        raise NotFound("There is no such environment.") from error


def shown(request: Request, *environments: Environment) -> list[dict[str, Any]]:
    context = {"full_status": wants_full_status(request)}
    return list(EnvironmentSerializer(environments, many=True, context=context).data)


class EnvironmentViewSet(AsyncApiViewSet):
    lookup_value_regex = "[^/]+"

    def get_throttles(self) -> list[BaseThrottle]:
        return [*super().get_throttles(), *([CreateBucket()] if self.action == "acreate" else [])]

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Vary"] = "X-DevPocket-Status"
        return response

    @extend_schema(
        responses=EnvironmentSerializer(many=True),
        parameters=[
            OpenApiParameter(name)
            for name in (
                "status",
                "template_id",
                "region",
                "search",
                "include_terminated",
                "limit",
                "offset",
                "envelope",
            )
        ],
    )
    async def alist(self, request: Request) -> Response:
        return await sync_to_async(self._list)(request)

    def _list(self, request: Request) -> Response:
        query = request.query_params
        words = query.get("status", query.get("status_filter"))
        phases: set[Phase] | None = None
        if words is not None:
            phases = set()
            for word in words.split(","):
                found = phases_for(word.strip())
                if found is None:
                    raise InvalidInput.field("status", f"{word.strip()[:40]!r} is no status.", "unknown_choice")
                phases |= found
        everything = query.get("include_terminated", "").lower() in TRUE or (phases and Phase.TERMINATED in phases)
        rows = environments_of(request.user.pk, with_terminated=bool(everything))
        if phases is not None:
            rows = rows.filter(phase__in=phases)
        if (template := query.get("template_id")) is not None:
            rows = rows.filter(template_id=ALIASES.get(template.lower(), template.lower()))
        if (region := query.get("region")) is not None:
            rows = rows.filter(region=region)
        if search := query.get("search", "").replace("\0", ""):
            rows = rows.filter(name__icontains=search)
        page = Page(request)
        environments, total = page.cut(rows)
        return page.response(shown(request, *environments), total, plural="environments")

    @extend_schema(request=CreateSerializer, responses={201: EnvironmentSerializer})
    async def acreate(self, request: Request) -> Response:
        return await sync_to_async(self._create)(request)

    def _create(self, request: Request) -> Response:
        check_may_create(request.user)
        form = CreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        environment = create_from_request(request.user, form.validated_data).environment
        location = f"/api/v1/environments/{environment.pk}"
        return Response(shown(request, environment)[0], status=201, headers={"Location": location})

    @extend_schema(responses=EnvironmentSerializer)
    async def aretrieve(self, request: Request, pk: str) -> Response:
        return await sync_to_async(self._retrieve)(request, parse_id(pk))

    def _retrieve(self, request: Request, environment_id: UUID) -> Response:
        return Response(shown(request, get_environment(environment_id, owner_id=request.user.pk))[0])

    @extend_schema(responses={204: None})
    async def adestroy(self, request: Request, pk: str) -> Response:
        await self._act(request, pk, "delete")
        return Response(status=204)

    @extend_schema(request=None, responses=ActionSerializer)
    @action(detail=True, methods=["post"])
    async def start(self, request: Request, pk: str) -> Response:
        return self._acted(await self._act(request, pk, "start"), request, "The environment is starting.")

    @extend_schema(request=None, responses=ActionSerializer)
    @action(detail=True, methods=["post"])
    async def stop(self, request: Request, pk: str) -> Response:
        return self._acted(await self._act(request, pk, "stop"), request, "The environment is stopping.")

    async def _act(self, request: Request, pk: str, name: str) -> Environment:
        user_id = request.user.pk
        return await sync_to_async(services.environment_act)(
            environment_id=parse_id(pk), owner_id=user_id, action=name, actor_id=user_id
        )

    def _acted(self, environment: Environment, request: Request, message: str) -> Response:
        phase = Phase(environment.phase)
        status = phase if wants_full_status(request) else COMPAT_STATUS[phase]
        return Response({"message": message, "status": str(status), "phase": str(phase)})
