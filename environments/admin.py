"""Environments for operators: what is wanted, what is, what happened, and what can be done about it.

Whatever an operator does goes through the services that the API calls, is in the environment's time line with the
operator's name, and in the admin's own log. Cloud ids are shown, secrets are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.admin import ReadOnlyAdmin, UserAdmin
from accounts.models import User
from devpocket.errors import DomainError
from devpocket.operators import ValuesFilter
from environments import billing, changes, services
from environments.models import CloudReport, Environment, EnvironmentEvent, Snapshot

SECRETS = ("environment_variables", "password_hash", "host_private_key")


def link(name: str, row: Model | None) -> str:
    return (
        "" if row is None else format_html('<a href="{}">{}</a>', reverse(f"admin:{name}_change", args=[row.pk]), row)
    )


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    max_num = 0
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class EventInline(ReadOnlyInline):
    """The time line, newest last."""

    model = EnvironmentEvent
    verbose_name_plural = "time line"
    fields = ["at", "kind", "phase", "message", "actor", "cloud_request_id"]
    ordering = ["at", "id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EnvironmentEvent]:
        return super().get_queryset(request).select_related("actor")


class SnapshotInline(ReadOnlyInline):
    model = Snapshot
    fields = ["name", "kind", "status", "size_gb", "cloud_snapshot_id", "created_at", "deleted_at", "error_message"]
    ordering = ["created_at"]


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyAdmin):
    list_display = [
        *("name", "owner_link", "template", "desired_state", "phase", "progress", "set_up", "error_code"),
        *("droplet_id", "droplet_ip", "size", "region", "lease_owner", "created_at"),
    ]
    list_filter = [
        *("phase", "desired_state", "installation_completed", ("error_code", ValuesFilter), ("region", ValuesFilter)),
        *(("size", ValuesFilter), "template"),
    ]
    list_select_related = ["owner", "template"]
    search_fields = ["id", "owner", "name", "slug", "owner__username", "owner__email"]
    search_fields += ["droplet_id", "droplet_ip", "volume_id"]
    inlines = [EventInline, SnapshotInline]
    actions = ["start", "stop", "restart", "recover", "hibernate", "take_over", "destroy"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Environment]:
        return super().get_queryset(request).defer(*SECRETS)  # secrets aren't even decrypted for a list

    def get_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        names = [field.name for field in Environment._meta.fields if field.name not in SECRETS]
        names[names.index("owner")] = "owner_link"
        return [*names, "costs"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("environments.change_environment")

    @admin.display(description="owner", ordering="owner__username")
    def owner_link(self, environment: Environment) -> str:
        return link("accounts_user", environment.owner)

    @admin.display(description="set-up")
    def set_up(self, environment: Environment) -> str:
        if environment.installation_completed:
            return "complete"
        return "incomplete" if environment.install_error else f"{environment.install_percent} %"

    @admin.display(description="costs (US dollars, estimated)")
    def costs(self, environment: Environment) -> str:
        cost = billing.shown(environment)
        return f"{cost['usd_per_hour']} an hour, {cost['usd_month_to_date']} this month ({cost['state']})"

    # --- Actions

    def _each(
        self, request: HttpRequest, environments: QuerySet[Environment], what: str, do: Callable[[Environment], Any]
    ) -> None:
        """Do it to each of them; one that can't be done is told, and stops none of the others."""
        done = 0
        for environment in environments:
            try:
                do(environment)
            except DomainError as refusal:
                self.message_user(request, f"{environment}: {refusal.message}", messages.WARNING)
            else:
                self.log_change(request, environment, what)
                done += 1
        if done:
            self.message_user(request, f"{what}: {done} environment(s)", messages.SUCCESS)

    def _act(self, request: HttpRequest, environments: QuerySet[Environment], action: str, what: str) -> None:
        def act(environment: Environment) -> None:
            services.environment_act(
                environment_id=environment.pk, owner_id=None, action=action, actor_id=request.user.pk, reason="admin"
            )

        self._each(request, environments, what, act)

    @admin.action(description="Start", permissions=["operate"])
    def start(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._act(request, environments, "start", "Started")

    @admin.action(description="Stop", permissions=["operate"])
    def stop(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._act(request, environments, "stop", "Stopped")

    @admin.action(description="Restart", permissions=["operate"])
    def restart(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._act(request, environments, "restart", "Restarted")

    @admin.action(description="Recover from an error", permissions=["operate"])
    def recover(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._act(request, environments, "recover", "Recovered")

    @admin.action(description="Hibernate: keep the volume and a copy of the disk", permissions=["operate"])
    def hibernate(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._act(request, environments, "hibernate", "Hibernated")

    @admin.action(description="Take over the lease: have it looked at anew, at once", permissions=["operate"])
    def take_over(self, request: HttpRequest, environments: QuerySet[Environment]) -> None:
        self._each(
            request,
            environments,
            "Lease taken over",
            lambda environment: changes.lease_give_up(environment_id=environment.pk, actor_id=request.user.pk),
        )

    @admin.action(description="Delete, with all they have at the cloud", permissions=["operate"])
    def destroy(self, request: HttpRequest, environments: QuerySet[Environment]) -> TemplateResponse | None:
        """Asks first, as Django's own deleting does: nothing brings a machine and its volume back."""
        if request.POST.get("post"):
            self._act(request, environments, "delete", "Deleted")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Delete environments?",
            "opts": self.opts,
            "environments": environments,
            "checkbox": ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, "environments/admin_destroy.html", context)


@admin.register(EnvironmentEvent)
class EventAdmin(ReadOnlyAdmin):
    """All time lines together: where did the cloud's request come from, what has an operator done."""

    list_display = ["at", "environment", "kind", "phase", "message", "actor", "cloud_request_id"]
    list_filter = [("kind", ValuesFilter), ("phase", ValuesFilter)]
    list_select_related = ["environment", "actor"]
    search_fields = ["cloud_request_id", "environment", "actor", "environment__name", "actor__username"]
    ordering = ["-at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EnvironmentEvent]:
        return super().get_queryset(request).defer(*(f"environment__{name}" for name in SECRETS))


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["name", "environment", "kind", "status", "size_gb", "region", "cloud_snapshot_id", "created_at"]
    list_filter = ["status", "kind", ("region", ValuesFilter)]
    list_select_related = ["environment"]
    search_fields = ["id", "name", "cloud_snapshot_id", "environment", "environment__name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        return super().get_queryset(request).defer(*(f"environment__{name}" for name in SECRETS))


@admin.register(CloudReport)
class CloudReportAdmin(ReadOnlyAdmin):
    """What the reaper found at the cloud that no environment owns."""

    list_display = ["at", "seen", "how_many", "deletes", "error"]
    list_filter = ["deletes"]
    fields = ["at", "deletes", "seen", "what_was_found", "error"]

    @admin.display(description="found")
    def how_many(self, report: CloudReport) -> int:
        return len(report.found)

    @admin.display(description="found")
    def what_was_found(self, report: CloudReport) -> str:
        if not report.found:
            return "nothing"
        columns = list(dict.fromkeys(key for row in report.found for key in row))
        head = format_html_join("", "<th>{}</th>", ((column.replace("_", " "),) for column in columns))
        rows = format_html_join(
            "",
            "<tr>{}</tr>",
            (
                (format_html_join("", "<td>{}</td>", ((_cell(row.get(column)),) for column in columns)),)
                for row in report.found
            ),
        )
        return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, rows)


def _cell(value: object) -> object:
    words = {True: "yes", False: "no", None: "-"}
    return words[value] if value is None or isinstance(value, bool) else value


admin.site.unregister(User)  # accounts knows nothing of environments, so what leads to them is added here


@admin.register(User)
class OwnerAdmin(UserAdmin):
    list_display = [*UserAdmin.list_display, "environments_link"]
    fields = [*UserAdmin.fields, "environments_link"]
    readonly_fields = [*UserAdmin.readonly_fields, "environments_link"]

    @admin.display(description="environments")
    def environments_link(self, user: User) -> str:
        url = reverse("admin:environments_environment_changelist")
        return format_html('<a href="{}?owner__id__exact={}">show</a>', url, user.pk)
