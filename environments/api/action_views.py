"""What an environment can be told to do (contract 5.4, 5.7, 6.3). No action needs a body or a Content-Type."""

from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.openapi import refuses
from devpocket.times import time_text
from environments import changes, services
from environments.api.change_serializers import ExtendedSerializer, ResizedSerializer, ResizeSerializer
from environments.api.common import FULL_STATUS, EnvironmentsViewSet, acted, idle_minutes, parse_id
from environments.api.serializers import ActionSerializer
from environments.api.waiting import final_phase
from environments.catalogue import choose_resize
from environments.errors import CloudTrouble, InvalidState, SizeNotAllowed
from environments.idle import idle_stop_at
from environments.lifecycle import Phase
from environments.models import Environment
from environments.selectors import get_environment


class ActionViewSet(EnvironmentsViewSet):
    common_parameters = FULL_STATUS

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ActionSerializer)
    async def start(self, request: Request, pk: str) -> Response:
        """Power it on. Where it is running already, nothing happens."""
        return await self._act(request, pk, "start")

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ActionSerializer)
    async def stop(self, request: Request, pk: str) -> Response:
        """Power it off. It goes on costing the same; to pay less, hibernate it."""
        return await self._act(request, pk, "stop")

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ActionSerializer)
    async def restart(self, request: Request, pk: str) -> Response:
        """Reboot it; also a way out of an error."""
        return await self._act(request, pk, "restart")

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ActionSerializer)
    async def recover(self, request: Request, pk: str) -> Response:
        """Out of an error: the machine is used again if it is healthy, else made anew. The volume stays."""
        return await self._act(request, pk, "recover")

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ActionSerializer)
    async def hibernate(self, request: Request, pk: str) -> Response:
        """Keep the volume and a copy of the disk, give up the machine; a start brings it back from them."""
        return await self._act(request, pk, "hibernate")

    async def _act(self, request: Request, pk: str, action: str) -> Response:
        environment = await sync_to_async(services.environment_act)(
            environment_id=parse_id(pk), owner_id=request.user.pk, action=action, actor_id=request.user.pk
        )
        return acted(request, await final_phase(environment))

    @refuses(InvalidState, SizeNotAllowed, CloudTrouble)
    @extend_schema(request=ResizeSerializer, responses=ResizedSerializer)
    async def resize(self, request: Request, pk: str) -> Response:
        """Give it another size. A running machine is stopped for it, and started again."""
        environment, size = await sync_to_async(self._resize)(request, parse_id(pk))
        phase = await final_phase(environment)
        return acted(request, phase, new_size=size, estimated_time="2-5 minutes")

    def _resize(self, request: Request, environment_id: UUID) -> tuple[Environment, str]:
        user = request.user
        environment = get_environment(environment_id, owner_id=user.pk)
        form = ResizeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        size = choose_resize(form.validated_data["size"], environment=environment, plan=user.plan)
        environment = changes.environment_resize(
            environment_id=environment_id,
            owner_id=user.pk,
            actor_id=user.pk,
            size=size.slug,
            memory_mb=size.memory_mb,
            vcpus=size.vcpus,
            disk_gb=size.disk_gb,
            price_usd_per_hour=size.price_usd_per_hour,
            is_disk_resized=form.validated_data.get("permanent_disk_resize") or False,
        )
        return environment, size.slug

    @refuses(InvalidState)
    @extend_schema(request=None, responses=ExtendedSerializer)
    async def extend(self, request: Request, pk: str) -> Response:
        """Put off the stop for being idle, by the plan's whole time from now."""
        environment = await sync_to_async(changes.environment_extend)(
            environment_id=parse_id(pk), owner_id=request.user.pk
        )
        stop_at = idle_stop_at(environment, minutes=idle_minutes(request))
        shown_at = None if stop_at is None else time_text(stop_at)
        return acted(request, Phase(environment.phase), "The environment stays awake.", idle_stop_at=shown_at)
