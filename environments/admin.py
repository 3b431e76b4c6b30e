"""Environments for operators: what is wanted, what is, and what happened. Cloud ids are shown, secrets are not."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from environments.models import Environment, EnvironmentEvent


class EventInline(admin.TabularInline):
    model = EnvironmentEvent
    fields = readonly_fields = ["at", "kind", "phase", "message", "actor", "cloud_request_id"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Environment)
class EnvironmentAdmin(admin.ModelAdmin):
    list_display = [
        "name",
        "owner",
        "template",
        "desired_state",
        "phase",
        "progress",
        "droplet_id",
        "region",
        "created_at",
    ]
    list_filter = ["phase", "desired_state", "region", "size", "template"]
    list_select_related = ["owner", "template"]
    search_fields = ["id", "name", "owner__username", "owner__email", "droplet_id", "droplet_ip", "volume_id"]
    exclude = ["environment_variables", "password_hash", "host_private_key"]
    inlines = [EventInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Environment]:
        return super().get_queryset(request).defer(*self.exclude)  # secrets aren't even decrypted for a list

    def get_readonly_fields(self, request: object, obj: object = None) -> list[str]:
        return [field.name for field in Environment._meta.fields if field.name not in self.exclude]

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False  # a row that is gone would leave its droplet behind, and billed
