"""A template on the wire (contract section 7)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from templates_catalog.models import Template, default_resources


def texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


class TemplateSerializer(serializers.ModelSerializer):
    """`config` is for admins; both image keys and both id keys carry the same value (contract T11, T19)."""

    id = serializers.CharField(source="name", read_only=True)
    docker_image = serializers.CharField(source="image", read_only=True)

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
