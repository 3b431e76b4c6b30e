"""Terminals for operators: what is open, what was recorded, which links lead in. No token and no output is shown."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html

from accounts.admin import ReadOnlyAdmin
from devpocket.errors import DomainError
from environments.admin import SECRETS, link
from terminals import presence, recordings, shares
from terminals.models import OpenTerminal, Recording, TerminalShare


@admin.register(TerminalShare)
class TerminalShareAdmin(ReadOnlyAdmin):
    list_display = [
        *("id", "environment", "created_by", "mode", "session", "is_active", "created_at", "expires_at"),
        *("revoked_at", "opened_count", "last_opened_at"),
    ]
    list_filter = ["mode", "created_at", "expires_at", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["environment", "created_by"]
    search_fields = ["id", "environment", "environment__name", "created_by__username", "created_by__email"]
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


class ProcessFilter(admin.SimpleListFilter):
    """Also tells how many each process has."""

    title = parameter_name = "process"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(process, f"{process} ({count})") for process, count in presence.open_by_process()]

    def queryset(self, request: HttpRequest, rows: QuerySet[OpenTerminal]) -> QuerySet[OpenTerminal]:
        return rows.filter(process=self.value()) if self.value() else rows


@admin.register(OpenTerminal)
class OpenTerminalAdmin(ReadOnlyAdmin):
    """What is open now, in all processes."""

    fields = [
        *("user", "share", "environment", "session", "kind", "mode"),
        *("process", "channel_name", "opened_at", "seen_at"),
    ]
    list_display = [
        *("opened_at", "who", "environment_link", "session", "kind", "mode", "process", "seen_at"),
        "terminate_button",
    ]
    list_filter = [ProcessFilter, "kind", "mode"]
    list_select_related = ["user", "share", "environment"]
    search_fields = ["id", "session", "process", "environment", "environment__name"]
    search_fields += ["user__username", "user__email"]
    search_help_text = "The id of a terminal or an environment, its name, a session, a user, a process"
    actions = ["terminate"]
    terminate_max = 200  # at a time: each is an event of its own

    def get_queryset(self, request: HttpRequest) -> QuerySet[OpenTerminal]:
        secrets = ("user__password", "share__token_digest", *(f"environment__{name}" for name in SECRETS))
        return presence.open_terminals().defer(*secrets)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        return self.list_display if self.has_terminate_permission(request) else self.list_display[:-1]

    def get_urls(self) -> list[Any]:
        ask = self.admin_site.admin_view(self.ask_to_terminate)
        name = "terminals_openterminal_terminate"
        return [path("<uuid:terminal_id>/terminate/", ask, name=name), *super().get_urls()]

    def has_terminate_permission(self, request: HttpRequest) -> bool:
        return any(request.user.has_perm(f"terminals.{verb}_openterminal") for verb in ("change", "delete"))

    @admin.display(description="user or guest link", ordering="user__username")
    def who(self, terminal: OpenTerminal) -> str:
        return link("terminals_terminalshare", terminal.share) or link("accounts_user", terminal.user)

    @admin.display(description="environment", ordering="environment__name")
    def environment_link(self, terminal: OpenTerminal) -> str:
        return link("environments_environment", terminal.environment)

    @admin.display(description="")
    def terminate_button(self, terminal: OpenTerminal) -> str:
        url = reverse("admin:terminals_openterminal_terminate", args=[terminal.pk])
        return format_html('<a class="button" href="{}">Terminate</a>', url)

    def ask_to_terminate(self, request: HttpRequest, terminal_id: UUID) -> TemplateResponse:
        """The button of a row: what it asks is answered by the action."""
        if not self.has_terminate_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related(*self.list_select_related)
        return self._ask(request, list(rows.filter(pk=terminal_id)))

    @admin.action(description="Terminate: close the sockets", permissions=["terminate"])
    def terminate(self, request: HttpRequest, chosen: QuerySet[OpenTerminal]) -> TemplateResponse | None:
        terminals = list(chosen[: self.terminate_max + 1])
        if len(terminals) > self.terminate_max:
            self.message_user(request, f"Choose {self.terminate_max} at most.", messages.WARNING)
            return None
        if not request.POST.get("post"):
            return self._ask(request, terminals)
        done = 0
        for terminal in terminals:
            try:
                presence.terminal_terminate(terminal_id=terminal.pk, actor_id=request.user.pk)
            except DomainError as refusal:
                self.message_user(request, f"{terminal}: {refusal.message}", messages.WARNING)
            else:
                self.log_change(request, terminal, "Terminated")
                done += 1
        level = messages.SUCCESS if done else messages.WARNING  # they may have closed by themselves meanwhile
        self.message_user(request, f"Terminated: {done} terminal(s)", level)
        return None

    def _ask(self, request: HttpRequest, terminals: list[OpenTerminal]) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Terminate terminals?",
            "opts": self.opts,
            "terminals": terminals,
            "checkbox": ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, "terminals/admin_terminate.html", context)


@admin.register(Recording)
class RecordingAdmin(ReadOnlyAdmin):
    """What was recorded, never what is in it. Deleting one deletes its file."""

    list_display = [
        *("started_at", "owner", "environment_name", "session", "state", "duration_s", "size_bytes", "ended_at"),
    ]
    list_filter = ["state", "started_at"]
    list_select_related = ["owner"]
    search_fields = ["id", "environment", "environment_name", "owner__username", "owner__email"]
    exclude = ["file"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recording]:
        secrets = ("owner__password", *(f"environment__{name}" for name in SECRETS))
        return super().get_queryset(request).defer(*secrets)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("terminals.delete_recording")

    def delete_model(self, request: HttpRequest, obj: Recording) -> None:
        recordings.recordings_delete(Recording.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Recording]) -> None:
        ids = [recording.pk for recording in queryset]  # a search joins, and rows of joins can't be locked
        recordings.recordings_delete(Recording.objects.filter(pk__in=ids))
