"""Accounts for operators. Secrets are never shown."""

from __future__ import annotations

from django.contrib import admin

from accounts.models import Session, User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ["username", "email", "plan", "is_verified", "is_active", "is_staff", "created_at", "last_login"]
    list_filter = ["plan", "is_verified", "is_active", "is_staff"]
    search_fields = ["username", "email", "full_name"]
    fields = [
        "username",
        "email",
        "full_name",
        "plan",
        "is_verified",
        "is_active",
        "is_staff",
        "created_at",
        "last_login",
    ]
    readonly_fields = ["created_at", "last_login"]

    def has_add_permission(self, request: object) -> bool:
        return False  # an account needs its platform key, which registering makes


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    list_display = ["id", "user", "created_at", "last_used_at", "ip", "revoked_at", "revoked_reason"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email", "ip"]

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False
