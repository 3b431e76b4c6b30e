"""From what: the templates that a machine is set up from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string

from templates_catalog.rules import KEYS, problems, shown


def default_resources() -> dict[str, str]:
    return {"cpu": "500m", "memory": "1Gi", "storage": "10Gi"}


class Template(models.Model):
    """Its public id is its name (contract T11): `name` is the slug, `display_name` what people read."""

    class Category(models.TextChoices):
        PROGRAMMING_LANGUAGE = "programming_language"
        FRAMEWORK = "framework"
        DATABASE = "database"
        DEVOPS = "devops"
        OPERATING_SYSTEM = "operating_system"

    class Status(models.TextChoices):
        ACTIVE = "active"
        BETA = "beta"
        DEPRECATED = "deprecated"

    # What values may be is in schema.json, which clean_fields asks.
    name = models.CharField(max_length=50, primary_key=True)
    display_name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000)
    category = models.CharField(max_length=30, choices=Category)
    tags = models.JSONField(default=list, blank=True)
    image = models.CharField(max_length=200, default="ubuntu-24-04-x64")  # the OS image's slug at the cloud
    default_port = models.PositiveIntegerField(default=8080)
    default_resources = models.JSONField(default=default_resources)
    environment_variables = models.JSONField(default=dict, blank=True)
    startup_commands = models.JSONField(default=list, blank=True)
    config = models.JSONField(null=True, blank=True)
    documentation_url = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001
    icon_url = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    version = models.CharField(max_length=30, default="1.0.0")
    usage_count = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-usage_count", "name"]

    def __str__(self) -> str:
        return self.display_name

    def values(self) -> dict[str, Any]:
        """What a template file would say of it, every key."""
        return {key: getattr(self, key) for key in KEYS}

    def clean_fields(self, exclude: Iterable[str] | None = None) -> None:
        """Raises: ValidationError, by column. Django's own checks would let pass what they take as empty: {} for a
        list. Nothing is converted: a number is no text here either."""
        found: dict[str, list[str]] = {}
        for problem in problems(self.values()):
            column, *inner = problem.path
            if column not in set(exclude or ()):
                where = ".".join(map(shown, inner))
                found.setdefault(str(column), []).append(problem.sentence(where))
        if found:
            raise ValidationError(found)

    def clean(self) -> None:
        """What the app above has against it. Raises: ValidationError, of the template as a whole."""
        if not problems(self.values()) and (found := problems_above(self)):
            raise ValidationError(found)


def problems_above(template: Template) -> list[str]:
    """Sentences by the check that settings name, since this app knows none of those above it. For what obeys the
    rules already."""
    return list(import_string(settings.TEMPLATE_CHECK)(template)) if settings.TEMPLATE_CHECK else []


def preview_above(template: Template) -> tuple[str, str]:
    """What a machine of it is set up from, for people: its size in words, and the text. By the function that settings
    name."""
    size, text = import_string(settings.TEMPLATE_PREVIEW)(template)
    return str(size), str(text)
