"""Recordings of terminals on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from terminals.models import Recording
from terminals.recordings import expires_at

STATES = Recording.State.choices


@extend_schema_field({"type": "string", "format": "uuid"})
class EnvironmentIdField(serializers.UUIDField):
    default_error_messages = {"invalid": "environment_id must be the id of an environment."}


class RecordingsQuery(serializers.Serializer):
    environment_id = EnvironmentIdField(required=False, help_text="Only those of this environment.")


class RecordingSerializer(serializers.ModelSerializer):
    """`session`: null for the environment's own; size and duration grow while it is recorded; sizes in characters."""

    session = serializers.SerializerMethodField()
    expires_at = serializers.SerializerMethodField()

    class Meta:
        model = Recording
        fields = [
            "id",
            "environment_id",
            "environment_name",
            "session",
            "state",
            "size_bytes",
            "duration_s",
            "cols",
            "rows",
            "started_at",
            "ended_at",
            "expires_at",
        ]
        read_only_fields = fields

    def get_session(self, recording: Recording) -> str | None:
        return recording.session or None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_expires_at(self, recording: Recording) -> Any:
        at: datetime | None = expires_at(recording)
        return None if at is None else serializers.DateTimeField().to_representation(at)
