"""How busy an environment's machine is (contract 5.5)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from environments.api.common import EnvironmentsViewSet
from environments.api.queries import WholeNumberTextField, asked_of
from environments.metrics import environment_metrics


class MetricsQuery(serializers.Serializer):
    hours = WholeNumberTextField(
        min_value=0, max_value=168, default=0, help_text="Of history, one entry a minute; 0: none."
    )


class PastSerializer(serializers.Serializer):
    class Meta:
        ref_name = "PastMetrics"

    timestamp = serializers.DateTimeField()
    cpu_usage = serializers.FloatField(allow_null=True)
    memory_usage = serializers.FloatField(allow_null=True)
    storage_usage = serializers.FloatField(allow_null=True)
    network_rx = serializers.IntegerField(allow_null=True)
    network_tx = serializers.IntegerField(allow_null=True)


class MetricsSerializer(serializers.Serializer):
    """Percentages 0 to 100, network in bytes since boot; null while there is nothing to measure."""

    environment_id = serializers.CharField()
    cpu_usage = serializers.FloatField(allow_null=True)
    memory_usage = serializers.FloatField(allow_null=True)
    disk_usage = serializers.FloatField(allow_null=True)
    storage_usage = serializers.FloatField(allow_null=True)
    network_in = serializers.IntegerField(allow_null=True)
    network_rx = serializers.IntegerField(allow_null=True)
    network_out = serializers.IntegerField(allow_null=True)
    network_tx = serializers.IntegerField(allow_null=True)
    uptime = serializers.IntegerField(allow_null=True)
    load_average = serializers.ListField(child=serializers.FloatField(), min_length=3, max_length=3, allow_null=True)
    active_connections = serializers.IntegerField()
    timestamp = serializers.DateTimeField()
    last_updated = serializers.DateTimeField()
    history = PastSerializer(many=True)


class MetricsViewSet(EnvironmentsViewSet):
    @extend_schema(parameters=[MetricsQuery], responses=MetricsSerializer)
    async def aretrieve(self, request: Request, pk: str, **kwargs: Any) -> Response:
        """How busy the machine is now, and was; the last answer where it gives none within 5 s."""
        environment_id, asked = await asked_of(request, pk, MetricsQuery)
        return Response(await environment_metrics(environment_id=environment_id, owner_id=request.user.pk, **asked))
