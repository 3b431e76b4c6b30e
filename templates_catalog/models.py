"""From what: the templates that a machine is set up from."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone

from templates_catalog.values import SLUG, TextsCheck, check_config, check_resources, check_variables

WEB_URL = URLValidator(schemes=["http", "https"])


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

    name = models.CharField(max_length=50, primary_key=True, validators=[SLUG])
    display_name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000)
    category = models.CharField(max_length=30, choices=Category)
    tags = models.JSONField(default=list, blank=True, validators=[TextsCheck(20, 50)])
    image = models.CharField(max_length=200, default="ubuntu-24-04-x64")  # the OS image's slug at the cloud
    default_port = models.PositiveIntegerField(
        default=8080, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    default_resources = models.JSONField(default=default_resources, validators=[check_resources])
    environment_variables = models.JSONField(default=dict, blank=True, validators=[check_variables])
    startup_commands = models.JSONField(default=list, blank=True, validators=[TextsCheck(100, 4096)])
    config = models.JSONField(null=True, blank=True, validators=[check_config])
    documentation_url = models.CharField(max_length=500, null=True, blank=True, validators=[WEB_URL])  # noqa: DJ001
    icon_url = models.CharField(max_length=500, null=True, blank=True, validators=[WEB_URL])  # noqa: DJ001
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    version = models.CharField(max_length=30, default="1.0.0")
    usage_count = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-usage_count", "name"]

    def __str__(self) -> str:
        return self.display_name

    def clean(self) -> None:
        """`clean_fields` leaves out what it takes as empty: null, "", and {} where a list belongs."""
        problems: dict[str, ValidationError] = {}
        for field in self._meta.fields:
            for check in field.validators if isinstance(field, models.JSONField) else ():
                try:
                    check(getattr(self, field.name))
                except ValidationError as error:
                    problems[field.name] = error
        if problems:
            raise ValidationError(problems)
