"""Environments over HTTP (contract section 5). Writing the row is all there is to it: the provisioner does the rest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from accounts.errors import EmailNotVerified
from accounts.models import Plan
from devpocket.openapi import paged, refuses
from devpocket.paging import Page
from devpocket.throttling import Bucket
from environments import changes, services
from environments.api import idempotency as keys
from environments.api.change_serializers import EventSerializer, PatchSerializer, PutSerializer
from environments.api.common import FULL_STATUS, EnvironmentsViewSet, location_of, parse_id, shown, status_for
from environments.api.filters import FILTERS, filtered
from environments.api.serializers import CreateSerializer, EnvironmentSerializer
from environments.catalogue import check_fits
from environments.creation import check_may_create, create_from_request
from environments.errors import CloudTrouble, EnvironmentLimitReached, NameTaken, ResizeRequired, SizeNotAllowed
from environments.idempotency import answer_keep, find_first
from environments.lifecycle import Phase
from environments.selectors import events_of, get_environment


class CreateBucket(Bucket):
    """Creates in an hour, counted by user; more for those who pay for more machines."""

    def bucket_for(self, request: Request) -> str:
        return "create_pro" if request.user.plan in (Plan.PRO, Plan.ADMIN) else "create"

    def key(self, request: Request, view: Any) -> str | None:
        return f"user:{request.user.pk}" if request.user.is_authenticated else None


APPLIES = OpenApiParameter(
    "X-Applies",
    {"type": "string", "const": "next-shell"},
    OpenApiParameter.HEADER,
    required=True,
    response=[200],
    description="New variables are those of shells that are opened from now on.",
)


class EnvironmentViewSet(EnvironmentsViewSet):
    common_parameters = FULL_STATUS
    lookup_value_regex = "[^/]+"

    def get_throttles(self) -> list[BaseThrottle]:
        return [*super().get_throttles(), *([CreateBucket()] if self.action == "create" else [])]

    @paged("environments")
    @extend_schema(responses=EnvironmentSerializer(many=True), parameters=FILTERS)
    def list(self, request: Request) -> Response:
        """The caller's environments, newest first. Those that were deleted only on demand."""
        page = Page(request)
        environments, total = page.cut(filtered(request.query_params, request.user.pk))
        return page.response(shown(request, *environments), total, plural="environments")

    @refuses(EmailNotVerified, EnvironmentLimitReached, SizeNotAllowed, NameTaken, CloudTrouble)
    @extend_schema(
        request=CreateSerializer,
        responses={201: EnvironmentSerializer},
        parameters=[*keys.PARAMETERS, location_of("environment")],
        examples=[
            OpenApiExample("The least", value={"name": "My Project", "template_id": "python"}, request_only=True)
        ],
    )
    def create(self, request: Request) -> Response:
        """Create an environment.

        Answers at once; the machine comes up behind it. With an `Idempotency-Key` it may be repeated for a day.
        """
        check_may_create(request.user)
        repeatable = keys.read_repeatable(request)
        # First of all: what has become of its template, or of the limit, is no matter of a request that was answered.
        first = None if repeatable is None else find_first(repeatable, user_id=request.user.pk)
        if first is not None and first.answer:
            return self._created(request, first.answer, is_replayed=True)
        form = CreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        created = create_from_request(request.user, form.validated_data, repeatable=repeatable)
        answer = shown(request, created.environment)[0]
        if repeatable is not None:
            answer = answer_keep(answer, key=repeatable.key, user_id=request.user.pk)
        return self._created(request, answer, is_replayed=created.first is not None)

    def _created(self, request: Request, answer: dict[str, Any], *, is_replayed: bool) -> Response:
        """The answer, in the words of this request: the first may have asked for other ones (contract 6.2)."""
        answer = {**answer, "status": status_for(request, Phase(answer["phase"]))}
        headers = {"Location": f"/api/v1/environments/{answer['id']}"}
        if is_replayed:
            headers[keys.REPLAYED_HEADER] = "true"
        return Response(answer, status=201, headers=headers)

    @extend_schema(responses=EnvironmentSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One environment. Clients that show a set-up ask again every few seconds, or listen to its WebSockets."""
        return Response(shown(request, get_environment(parse_id(pk), owner_id=request.user.pk))[0])

    @refuses(NameTaken, ResizeRequired, SizeNotAllowed)
    @extend_schema(request=PutSerializer, responses=EnvironmentSerializer, parameters=[APPLIES])
    def update(self, request: Request, pk: str) -> Response:
        """Changes what is given; `environment_variables` replaces the whole map."""
        return self._update(request, parse_id(pk), PutSerializer)

    @refuses(NameTaken, ResizeRequired, SizeNotAllowed)
    @extend_schema(request=PatchSerializer, responses=EnvironmentSerializer, parameters=[APPLIES])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes what is given; of `environment_variables` only those named, and null removes one."""
        return self._update(request, parse_id(pk), PatchSerializer)

    def _update(self, request: Request, environment_id: UUID, serializer: type[PutSerializer]) -> Response:
        environment = get_environment(environment_id, owner_id=request.user.pk)
        form = serializer(data=request.data)
        form.is_valid(raise_exception=True)
        check_fits(environment, **form.needs())
        environment = changes.environment_update(
            environment_id=environment_id, owner_id=request.user.pk, **form.changes()
        )
        return Response(shown(request, environment)[0], headers={"X-Applies": "next-shell"})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an environment.

        In every phase; from now on its id is unknown, and all it has at the cloud is destroyed.
        """
        services.environment_act(
            environment_id=parse_id(pk), owner_id=request.user.pk, action="delete", actor_id=request.user.pk
        )
        return Response(status=204)


class EventViewSet(EnvironmentsViewSet):
    @paged("events")
    @extend_schema(responses=EventSerializer(many=True))
    def list(self, request: Request, pk: str) -> Response:
        """What happened to the environment, oldest first."""
        rows = events_of(parse_id(pk), owner_id=request.user.pk)
        page = Page(request)
        events, total = page.cut(rows)
        told = EventSerializer(events, many=True, context={"owner_id": request.user.pk}).data
        return page.response(list(told), total, plural="events")
