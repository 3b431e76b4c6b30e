"""The forms of the admin's sign-in and second factor. A wrong code counts as a wrong password does."""

from __future__ import annotations

from typing import Any

import structlog
from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.errors import AccountLocked, InvalidCredentials
from accounts.models import User
from accounts.passwords import check_password_strength
from accounts.recovery import operator_password_set
from accounts.second_factor import code_proven
from accounts.services import password_proven
from devpocket.errors import InvalidInput
from devpocket.throttling import client_address, count

log = structlog.get_logger(__name__)

CODE = {"autocomplete": "one-time-code", "spellcheck": "false", "autocapitalize": "off"}


def is_throttled(request: HttpRequest, name: str) -> bool:
    """Count a try, by address and by address and account. What is refused says when to come back."""
    address = client_address(request)
    standings = [count("admin", f"{address}|{name.strip().lower()}"), count("admin_address", address)]
    refused = [standing.reset_at for standing in standings if not standing.allowed]
    if refused:
        request.admin_throttled_until = max(refused)  # type: ignore[attr-defined]
        log.warning("operator_sign_in_throttled", address=address)
    return bool(refused)


class SignInForm(AdminAuthenticationForm):
    code = forms.CharField(max_length=20, required=False, label=_("Code"), widget=forms.TextInput(CODE))

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": _(
            "Please enter the correct username and password of an operator's account, and the code of your "
            "authenticator app, or a recovery code, if you have set that up. Each code is good once. After several "
            "wrong ones the account is locked for a while."
        ),
        "throttled": _("Too many tries. Please wait a minute."),
    }

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        name, password = data.get("username"), data.get("password")
        if name is None or not password:
            return data
        if is_throttled(self.request, name):
            raise forms.ValidationError(self.error_messages["throttled"], code="throttled")
        self.user_cache = authenticate(
            self.request, username=name, password=password, second_factor=data.get("code") or ""
        )
        if self.user_cache is None:
            log.warning("operator_sign_in_refused", address=client_address(self.request))
            raise self.get_invalid_login_error()
        self.confirm_login_allowed(self.user_cache)
        log.info("operator_signed_in", user=str(self.user_cache.pk), address=client_address(self.request))
        return data


class PasswordForm(AdminPasswordChangeForm):
    """As over the API: the same rules, a wrong one counts, and every session ends but this one."""

    def clean_old_password(self) -> str:
        given = str(self.cleaned_data["old_password"])
        try:
            password_proven(self.user.username, given, then=lambda user: None)
        except (InvalidCredentials, AccountLocked) as error:
            raise forms.ValidationError(self.error_messages["password_incorrect"]) from error
        return given

    def validate_password_for_user(self, user: User, password_field_name: str = "new_password1") -> None:  # noqa: S107
        password = self.cleaned_data.get("new_password1")
        try:
            if password:
                check_password_strength(password, username=user.username, email=user.email)
        except InvalidInput as error:
            self.add_error("new_password1", error.message)

    def save(self, commit: bool = True) -> User:
        operator_password_set(user=self.user, new_password=self.cleaned_data["new_password1"])
        self.user.refresh_from_db()  # the session that is kept goes by the new password
        return self.user  # type: ignore[no-any-return]


class ProofForm(forms.Form):
    """Who is at a session that is open, once more: the password, and a code of what is set up."""

    password = forms.CharField(
        max_length=128, strip=False, widget=forms.PasswordInput({"autocomplete": "current-password"})
    )
    code = forms.CharField(max_length=20, label=_("Code of the app"), widget=forms.TextInput(CODE))

    def __init__(self, *args: Any, request: HttpRequest, has_factor: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request, self._has_factor = request, has_factor

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "password" not in data or "code" not in data:
            return data
        user: User = self._request.user  # type: ignore[assignment]
        if is_throttled(self._request, user.username):
            raise forms.ValidationError(_("Too many tries. Please wait a minute."))
        also = (lambda user: code_proven(user, data["code"])) if self._has_factor else None
        try:
            password_proven(user.username, data["password"], then=lambda user: user, also=also)
        except (InvalidCredentials, AccountLocked) as error:
            raise forms.ValidationError(
                _("The password or the code is not right. A code is good once: wait for the next.")
            ) from error
        return data
