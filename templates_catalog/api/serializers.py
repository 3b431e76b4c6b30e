"""A template on the wire (contract section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import MessageSerializer
from devpocket.errors import InvalidInput
from devpocket.fields import TimeField
from templates_catalog.models import Template, default_resources
from templates_catalog.rules import KEYS, SCHEMA
from templates_catalog.selectors import canonical_name

SAME = {"id": "name", "docker_image": "image"}  # what answers have under two keys, requests may give by either
STATUSES, CATEGORIES = Template.Status.choices, Template.Category.choices
RESOURCES = SCHEMA["properties"]["default_resources"]["properties"]


def texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


class ResourcesSerializer(serializers.Serializer):
    cpu = serializers.CharField()
    memory = serializers.CharField()
    storage = serializers.CharField()

    class Meta:
        ref_name = "TemplateResources"


# What the database holds as JSON goes out as it is.


@extend_schema_field(ResourcesSerializer)
class ResourcesField(serializers.JSONField):
    pass


@extend_schema_field(serializers.DictField(child=serializers.CharField()))
class VariablesField(serializers.JSONField):
    pass


@extend_schema_field(serializers.ListField(child=serializers.CharField()))
class TextsField(serializers.JSONField):
    pass


@extend_schema_field(SCHEMA["properties"]["config"])
class ConfigField(serializers.JSONField):
    pass


class TemplateSerializer(serializers.ModelSerializer):
    """`config` is for admins; both image keys and both id keys carry the same value (contract T11, T19)."""

    id = serializers.CharField(source="name", read_only=True)
    docker_image = serializers.CharField(source="image", read_only=True)
    tags = TextsField(read_only=True)
    default_resources = ResourcesField(read_only=True)
    environment_variables = VariablesField(read_only=True)
    startup_commands = TextsField(read_only=True)
    config = ConfigField(read_only=True)
    created_at = TimeField(read_only=True)
    updated_at = TimeField(read_only=True)

    class Meta:
        model = Template
        fields = [
            "id",
            "name",
            "display_name",
            "description",
            "category",
            "tags",
            "docker_image",
            "image",
            "default_port",
            "default_resources",
            "environment_variables",
            "startup_commands",
            "config",
            "documentation_url",
            "icon_url",
            "status",
            "version",
            "usage_count",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def to_representation(self, template: Template) -> dict[str, Any]:
        shown = super().to_representation(template)
        # Rows that came past the importer and the admin: phones decode these as texts, all of them (contract T20).
        shown["default_resources"] = texts({**default_resources(), **template.default_resources})
        shown["environment_variables"] = texts(template.environment_variables)
        if not self.context.get("is_admin"):
            shown["config"] = None
        return shown


def create_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The template's fields in a request. Its rules are the service's.

    Null is the same as leaving an optional field out (contract T9), and unknown fields are ignored (section 1).
    Raises: InvalidInput, where two keys for one field differ.
    """
    fields = _fields(body)
    return {key: value for key, value in fields.items() if value is not None or key in SCHEMA["required"]}


def update_fields(body: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """The same of a change of the template `name`: null takes away what may be null, and leaves all else as it is.

    Raises: InvalidInput, also where the request has another name or id.
    """
    for key in ("name", "id"):
        given = body.get(key)
        if given is not None and not (isinstance(given, str) and canonical_name(given) == name):
            raise InvalidInput.field(key, "A template keeps its name.", "immutable")
    fields = _fields({key: value for key, value in body.items() if key not in ("name", "id")})
    return {key: value for key, value in fields.items() if value is not None or _is_nullable(key)}


def _is_nullable(key: str) -> bool:
    return "null" in SCHEMA["properties"][key]["type"]


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: body[key] for key in KEYS if key in body}
    for other, key in SAME.items():
        given = body.get(other)
        if given is not None and fields.get(key) is None:
            fields[key] = given
        elif given is not None and given != fields[key]:
            raise InvalidInput.field(other, f"{key} and {other} are one thing, and differ here.")
    if isinstance(resources := fields.get("default_resources"), dict):
        fields["default_resources"] = {
            key: value for key, value in resources.items() if key in RESOURCES and value is not None
        }
    if isinstance(config := fields.get("config"), dict):
        # Unknown keys are refused here: a slip would go unseen until a machine lacks what it should have.
        fields["config"] = {key: value for key, value in config.items() if value is not None}
    return fields


class InitializedSerializer(MessageSerializer):
    created = serializers.IntegerField()
    skipped = serializers.IntegerField()
    templates_created = serializers.ListField(child=serializers.CharField())


class CategorySerializer(serializers.Serializer):
    name = serializers.ChoiceField(CATEGORIES)
    display_name = serializers.CharField()
    count = serializers.IntegerField()
