"""Accounts for operators: find, lock, unlock, change a plan, sign out. Secrets are never shown; every action is logged.

The audit trail is the admin's own log (who, what, when), which nobody can change.
"""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.models import Mail, Session, SSHKey, User
from accounts.second_factor import find_authenticator, second_factor_remove
from accounts.services import session_revoke, sessions_revoke, user_unlock
from devpocket.operators import OperatorAdmin


class ReadOnlyAdmin(OperatorAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class SessionInline(admin.TabularInline):
    model = Session
    fields = readonly_fields = ["created_at", "last_used_at", "ip", "user_agent", "revoked_at", "revoked_reason"]
    extra = 0
    can_delete = False
    max_num = 0


class SSHKeyInline(admin.TabularInline):
    model = SSHKey
    fields = readonly_fields = ["name", "fingerprint", "created_at"]
    extra = 0
    can_delete = False
    max_num = 0


@admin.register(User)
class UserAdmin(OperatorAdmin):
    list_display = ["username", "email", "plan", "is_verified", "is_active", "is_locked", "is_staff", "created_at"]
    list_filter = ["plan", "is_verified", "is_active", "is_staff"]
    search_fields = ["id", "username", "email", "full_name"]
    fields = ["username", "email", "full_name", "plan", "is_verified", "is_active", "is_staff", "locked_until"]
    fields += ["has_second_factor"]
    readonly_fields = ["locked_until", "has_second_factor"]
    inlines = [SessionInline, SSHKeyInline]
    actions = ["close_access", "open_access", "unlock", "sign_out", "reset_second_factor"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Another operator's row is a superuser's: with another address in it, their password could be reset."""
        is_above = obj is not None and not self._below(request, User.objects.filter(pk=obj.pk)).exists()
        return not is_above and super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        above = [] if request.user.is_superuser else ["is_staff"]
        return [*super().get_readonly_fields(request, obj), *above]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # an account needs its platform key, which registering makes

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # a row that is gone would leave its machines behind; closing an account is the user's

    @admin.display(boolean=True, description="locked")
    def is_locked(self, user: User) -> bool:
        return user.is_locked

    def _below(self, request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
        if request.user.is_superuser:
            return users
        return users.filter(Q(pk=request.user.pk) | Q(is_staff=False), is_superuser=False)

    def _each(self, request: HttpRequest, users: QuerySet[User], what: str) -> None:
        for user in users:
            self.log_change(request, user, what)
        self.message_user(request, f"{what}: {users.count()} user(s)", messages.SUCCESS)

    @admin.action(description="Lock out: end every session, refuse signing in", permissions=["operate"])
    def close_access(self, request: HttpRequest, users: QuerySet[User]) -> None:
        users = self._below(request, users)
        for user in users:
            user.is_active = False
            user.save(update_fields=["is_active", "updated_at"])
            sessions_revoke(user=user, reason="admin")
        self._each(request, users, "Locked out")

    @admin.action(description="Let in again", permissions=["operate"])
    def open_access(self, request: HttpRequest, users: QuerySet[User]) -> None:
        users = self._below(request, users)
        for user in users:
            user.is_active = True
            user.save(update_fields=["is_active", "updated_at"])
        self._each(request, users, "Let in again")

    @admin.action(description="Unlock after failed sign-ins", permissions=["operate"])
    def unlock(self, request: HttpRequest, users: QuerySet[User]) -> None:
        users = self._below(request, users)
        for user in users:
            user_unlock(user=user)
        self._each(request, users, "Unlocked")

    @admin.action(description="Reset the second factor of an operator who has lost it", permissions=["reset"])
    def reset_second_factor(self, request: HttpRequest, users: QuerySet[User]) -> None:
        others = [user for user in users if user.pk != request.user.pk]  # one's own: on its page, which asks for a code
        done = sum(second_factor_remove(user=user, actor=request.user) for user in others)  # type: ignore[arg-type]
        self.message_user(request, f"Reset the second factor: {done} user(s)", messages.SUCCESS)

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    @admin.display(boolean=True, description="second factor")
    def has_second_factor(self, user: User) -> bool:
        return find_authenticator(user) is not None

    @admin.action(description="Sign out everywhere", permissions=["operate"])
    def sign_out(self, request: HttpRequest, users: QuerySet[User]) -> None:
        users = self._below(request, users)
        for user in users:
            sessions_revoke(user=user, reason="admin")
        self._each(request, users, "Signed out everywhere")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ["id", "user", "created_at", "last_used_at", "ip", "revoked_at", "revoked_reason"]
    list_select_related = ["user"]
    search_fields = ["id", "user", "user__username", "user__email", "ip"]
    actions = ["revoke"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_session")

    @admin.action(description="Revoke", permissions=["operate"])
    def revoke(self, request: HttpRequest, sessions: QuerySet[Session]) -> None:
        live = sessions.filter(revoked_at=None).select_related("user")
        for session in list(live):
            session_revoke(user=session.user, session_id=session.pk, reason="admin")
            self.log_change(request, session, "Revoked")


@admin.register(SSHKey)
class SSHKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "user", "fingerprint", "created_at"]
    list_select_related = ["user"]
    search_fields = ["fingerprint", "name", "user__username", "user__email"]
    fields = ["user", "name", "fingerprint", "public_key", "created_at"]


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    list_display = ["kind", "address", "created_at", "sent_at", "tries", "next_try_at", "error"]
    list_filter = ["kind"]
    search_fields = ["address"]


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_display = ["action_time", "user", "content_type", "object_repr", "change_message"]
    list_select_related = ["user", "content_type"]
    ordering = ["-pk"]  # as they came; their time has no index
    list_filter = ["content_type"]
    search_fields = ["=object_id", "object_repr", "change_message", "user__username"]


for unused in (
    EmailAddress,
    Authenticator,
    SocialApp,
    SocialToken,
    SocialAccount,
):  # allauth's own, which could be edited
    admin.site.unregister(unused)


@admin.register(SocialAccount)
class SocialAccountAdmin(ReadOnlyAdmin):
    list_display = ["user", "provider", "uid", "last_login", "date_joined"]
    ordering = ["-pk"]
    list_select_related = ["user"]
    search_fields = ["uid", "user__username", "user__email"]
