from __future__ import annotations

from django.contrib import admin

from templates_catalog.models import Template


@admin.register(Template)
class TemplateAdmin(admin.ModelAdmin):
    list_display = ["name", "display_name", "category", "status", "usage_count", "updated_at"]
    list_filter = ["category", "status"]
    search_fields = ["name", "display_name", "description"]
    readonly_fields = ["usage_count", "created_at", "updated_at"]
