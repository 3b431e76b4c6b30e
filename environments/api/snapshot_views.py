"""Copies of a machine's disk (contract 5.6). The volume, and so the home directory, is not in them."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.openapi import paged, refuses
from devpocket.paging import Page
from environments import snapshots
from environments.api.change_serializers import CreateSnapshotSerializer, SnapshotSerializer
from environments.api.common import FULL_STATUS, EnvironmentsViewSet, acted, location_of, parse_id
from environments.api.serializers import ActionSerializer
from environments.api.waiting import final_phase
from environments.errors import InvalidState, SnapshotInProgress
from environments.selectors import get_environment, get_snapshot, snapshots_of


class SnapshotViewSet(EnvironmentsViewSet):
    @paged("snapshots")
    @extend_schema(responses=SnapshotSerializer(many=True))
    def list(self, request: Request, pk: str) -> Response:
        """The environment's snapshots, newest first."""
        rows = snapshots_of(parse_id(pk), owner_id=request.user.pk)
        page = Page(request)
        found, total = page.cut(rows)
        return page.response(list(SnapshotSerializer(found, many=True).data), total, plural="snapshots")

    @refuses(InvalidState, SnapshotInProgress)
    @extend_schema(
        request=CreateSnapshotSerializer, responses={201: SnapshotSerializer}, parameters=[location_of("snapshot")]
    )
    def create(self, request: Request, pk: str) -> Response:
        """Copy the disk.

        Of a running or stopped machine, which goes on with its work; `pending` until the cloud has it.
        """
        environment_id = parse_id(pk)
        get_environment(environment_id, owner_id=request.user.pk)
        form = CreateSnapshotSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        snapshot = snapshots.snapshot_create(
            environment_id=environment_id,
            owner_id=request.user.pk,
            actor_id=request.user.pk,
            name=form.validated_data.get("name"),
        )
        location = f"/api/v1/environments/{environment_id}/snapshots/{snapshot.pk}"
        return Response(SnapshotSerializer(snapshot).data, status=201, headers={"Location": location})

    @extend_schema(responses=SnapshotSerializer)
    def retrieve(self, request: Request, pk: str, sid: str) -> Response:
        """One snapshot."""
        snapshot = get_snapshot(parse_id(sid), environment_id=parse_id(pk), owner_id=request.user.pk)
        return Response(SnapshotSerializer(snapshot).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str, sid: str) -> Response:
        """Delete a snapshot. It is gone at once; the cloud's copy follows."""
        snapshots.snapshot_delete(
            environment_id=parse_id(pk), snapshot_id=parse_id(sid), owner_id=request.user.pk, actor_id=request.user.pk
        )
        return Response(status=204)

    @refuses(InvalidState, SnapshotInProgress)
    @extend_schema(request=None, responses=ActionSerializer, parameters=FULL_STATUS)
    async def restore(self, request: Request, pk: str, sid: str) -> Response:
        """Put the machine's disk back to the snapshot. The home directory stays as it is."""
        environment = await sync_to_async(snapshots.snapshot_restore)(
            environment_id=parse_id(pk), snapshot_id=parse_id(sid), owner_id=request.user.pk, actor_id=request.user.pk
        )
        return acted(request, await final_phase(environment))

    def options(self, request: Request, pk: str, **kwargs: str) -> Response:
        if "sid" in kwargs:
            get_snapshot(parse_id(kwargs["sid"]), environment_id=parse_id(pk), owner_id=request.user.pk)
        return super().options(request, pk=pk, **kwargs)
