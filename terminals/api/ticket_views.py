"""Tickets for WebSockets: what goes into a URL instead of an access token."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.api import ApiViewSet
from terminals.tickets import TICKET_LIFE_S, ticket_issue


class TicketSerializer(serializers.Serializer):
    """`expires_in`: seconds."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField()


class TicketViewSet(ApiViewSet):
    @extend_schema(request=None, responses={201: TicketSerializer})
    def create(self, request: Request) -> Response:
        """Get a ticket for `?ticket=` of a WebSocket: it opens one, soon, as the access token of this request would."""
        ticket = ticket_issue(session_id=request.auth.pk)
        return Response({"ticket": ticket, "expires_in": TICKET_LIFE_S}, status=201)
