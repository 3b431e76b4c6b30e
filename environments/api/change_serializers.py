"""What changes an environment, and what tells of its changes, on the wire (contract 5.4, 5.6, 5.7)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devpocket.fields import FlagField, TextField, TimeField, WholeNumberField
from environments.api.fields import MergedVariablesField, NameField, VariablesField
from environments.api.serializers import ActionSerializer, PhaseField, ResourcesSerializer, asked_of_machine
from environments.models import Snapshot

SNAPSHOT_STATUSES = Snapshot.Status.values


class PutSerializer(serializers.Serializer):
    """Any of these. Null means what it means in a create: not given; a description's null takes it away."""

    name = NameField(max_length=50, required=False, allow_null=True)
    description = TextField(max_length=500, required=False, allow_null=True, allow_blank=True)
    environment_variables = VariablesField(required=False, allow_null=True)
    storage_size_gb = WholeNumberField(min_value=1, required=False, allow_null=True)
    resources = ResourcesSerializer(required=False, allow_null=True)
    resource_limits = ResourcesSerializer(required=False, allow_null=True)

    class Meta:
        ref_name = "ReplaceEnvironment"

    variables_argument = "variables"

    def changes(self) -> dict[str, Any]:
        """Arguments for `changes.environment_update`."""
        given = self.validated_data
        return {
            "name": given.get("name"),
            "description": given.get("description") or None,
            "is_description_given": "description" in given,
            "storage_size_gb": given.get("storage_size_gb"),
            self.variables_argument: given.get("environment_variables"),
        }

    def needs(self) -> dict[str, int]:
        return asked_of_machine(self.validated_data)


class PatchSerializer(PutSerializer):
    environment_variables = MergedVariablesField(required=False, allow_null=True)

    class Meta:
        ref_name = "ChangeEnvironment"

    variables_argument = "merge"


class ResizeSerializer(serializers.Serializer):
    size = TextField(max_length=50)
    permanent_disk_resize = FlagField(
        required=False, allow_null=True, help_text="The disk grows too, and never shrinks again."
    )


class ResizedSerializer(ActionSerializer):
    new_size = serializers.CharField()
    estimated_time = serializers.CharField()


class ExtendedSerializer(ActionSerializer):
    idle_stop_at = serializers.DateTimeField(allow_null=True)


class CreateSnapshotSerializer(serializers.Serializer):
    name = NameField(max_length=100, required=False, allow_null=True)


class SnapshotSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    snapshot_id = serializers.UUIDField(source="id")
    cloud_snapshot_id = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    environment_id = serializers.UUIDField()
    size_gb = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(SNAPSHOT_STATUSES)
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    region = serializers.CharField()


class EventSerializer(serializers.Serializer):
    """The owner is told that one of us did something, but not who."""

    # Context `owner_id`: of the environment.

    id = serializers.CharField()
    at = TimeField()
    kind = serializers.CharField()
    phase = PhaseField()
    message = serializers.CharField()
    actor = serializers.SerializerMethodField()
    actor_id = serializers.SerializerMethodField()
    cloud_request_id = serializers.SerializerMethodField()

    def get_actor(self, event: Any) -> str | None:
        if event.actor is None:
            return None
        return str(event.actor.username) if self._is_owners(event) else "operator"

    def get_actor_id(self, event: Any) -> str | None:
        return str(event.actor_id) if self._is_owners(event) else None

    def _is_owners(self, event: Any) -> bool:
        return bool(event.actor_id == self.context["owner_id"])

    def get_cloud_request_id(self, event: Any) -> str | None:
        return event.cloud_request_id or None
