"""Terminals for operators: what is open, what was recorded, which links lead in. No token and no output is shown."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from devpocket.errors import DomainError
from environments.admin import SECRETS
from terminals import shares
from terminals.models import TerminalShare


@admin.register(TerminalShare)
class TerminalShareAdmin(ReadOnlyAdmin):
    list_display = [
        *("id", "environment", "created_by", "mode", "session", "is_active", "created_at", "expires_at"),
        *("revoked_at", "opened_count", "last_opened_at"),
    ]
    list_filter = ["mode", "created_at", "expires_at", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["environment", "created_by"]
    search_fields = ["id", "environment__id", "environment__name", "created_by__username", "created_by__email"]
    exclude = ["token_digest"]
    actions = ["revoke"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TerminalShare]:
        secrets = (f"environment__{name}" for name in SECRETS)
        return super().get_queryset(request).defer("token_digest", *secrets)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("terminals.change_terminalshare")

    @admin.display(description="active", boolean=True)
    def is_active(self, share: TerminalShare) -> bool:
        return shares.is_active(share)

    @admin.action(description="Revoke, with the terminals that it opened", permissions=["revoke"])
    def revoke(self, request: HttpRequest, rows: QuerySet[TerminalShare]) -> None:
        done = 0
        for share in rows:
            try:
                shares.share_revoke(
                    share_id=share.pk, environment_id=share.environment_id, owner_id=None, actor_id=request.user.pk
                )
            except DomainError as refusal:
                self.message_user(request, f"{share}: {refusal.message}", messages.WARNING)
            else:
                self.log_change(request, share, "Revoked")
                done += 1
        if done:
            self.message_user(request, f"Revoked: {done} link(s)", messages.SUCCESS)
