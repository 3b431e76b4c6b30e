"""The health endpoints as routes of the API: outside the rate limits and without sign-in (contract section 8)."""

from __future__ import annotations

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from devpocket import health
from devpocket.api import ApiViewSet

HEALTH, LIVE, READY, CHECK = ["healthy", "unhealthy"], ["alive"], ["ready", "not_ready"], ["ok", "failed"]


class HealthSerializer(serializers.Serializer):
    status = serializers.ChoiceField(HEALTH)
    service = serializers.CharField()
    version = serializers.CharField()
    environment = serializers.CharField()
    timestamp = serializers.FloatField(help_text="Seconds since 1970.")


class LiveSerializer(serializers.Serializer):
    status = serializers.ChoiceField(LIVE)


class ReadySerializer(serializers.Serializer):
    status = serializers.ChoiceField(READY)
    checks = serializers.DictField(child=serializers.ChoiceField(CHECK))


class HealthViewSet(ApiViewSet):
    authentication_classes: list[type] = []
    permission_classes = [AllowAny]
    throttle_classes = []

    @extend_schema(responses={200: HealthSerializer, 503: HealthSerializer})
    async def health(self, request: Request) -> JsonResponse:
        """Is the service able to answer."""
        return await health.health(request._request)

    @extend_schema(responses={200: LiveSerializer})
    async def live(self, request: Request) -> JsonResponse:
        """Is the process's event loop turning."""
        return await health.live(request._request)

    @extend_schema(responses={200: ReadySerializer, 503: ReadySerializer})
    async def ready(self, request: Request) -> JsonResponse:
        """Should this process be given work."""
        return await health.ready(request._request)
