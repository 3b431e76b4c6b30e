"""The tmux sessions of an environment."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from environments.api.common import EnvironmentsViewSet, parse_id
from environments.errors import InvalidState
from terminals import sessions


class SessionSerializer(serializers.Serializer):
    """`name`: as in `?session=`, null for the environment's own; `session`: tmux's name; `attached`: tmux clients."""

    name = serializers.CharField(allow_null=True)
    session = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_activity_at = serializers.DateTimeField()
    attached = serializers.IntegerField()
    windows = serializers.IntegerField()

    class Meta:
        ref_name = "TerminalSession"


class SessionViewSet(EnvironmentsViewSet):
    refusals = [InvalidState]

    @extend_schema(responses=SessionSerializer(many=True))
    async def alist(self, request: Request, pk: str) -> Response:
        """The environment's terminal sessions, oldest first, as they are on the machine now."""
        found = await sessions.sessions_list(environment_id=parse_id(pk), owner_id=request.user.pk)
        return Response(SessionSerializer(found, many=True).data)

    @extend_schema(responses={204: None})
    async def adestroy(self, request: Request, pk: str, name: str) -> Response:
        """End a terminal session, by either of its names, with all that runs in it.

        Its terminals are told and closed.
        """
        await sessions.session_kill(environment_id=parse_id(pk), owner_id=request.user.pk, name=name)
        return Response(status=204)

    @extend_schema(responses={204: None}, operation_id="environments_sessions_destroy_all")
    async def destroy_all(self, request: Request, pk: str) -> Response:
        """End all terminal sessions of the environment."""
        await sessions.sessions_kill_all(environment_id=parse_id(pk), owner_id=request.user.pk)
        return Response(status=204)
