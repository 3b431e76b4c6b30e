"""The small pages that links in mails open (contract 3.5): they work on a phone, with CSRF and without a script.

Opening a page spends nothing: mail scanners follow links. The button does.
"""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import recovery
from accounts.models import User
from devpocket.errors import DomainError
from devpocket.throttling import client_address, count


class NewPasswordForm(forms.Form):
    new_password = forms.CharField(min_length=8, max_length=128, strip=False)
    repeated = forms.CharField(max_length=128, strip=False)

    def clean(self) -> dict[str, str]:
        data = super().clean() or {}
        if "new_password" in data and data["new_password"] != data.get("repeated"):
            self.add_error("repeated", _("The two passwords are not the same."))
        return dict(data)


def _page(request: HttpRequest, name: str, *, status: int = 200, **context: object) -> HttpResponse:
    response = render(request, f"accounts/pages/{name}.html", context, status=status)
    # The address holds the token. Not "no-referrer": with that, browsers send `Origin: null`, which CSRF refuses.
    response["Referrer-Policy"] = "strict-origin"
    return response


def _is_too_often(request: HttpRequest) -> bool:
    return not count("auth_address", client_address(request)).allowed


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def verify_email(request: HttpRequest) -> HttpResponse:
    token = (request.POST if request.method == "POST" else request.GET).get("token", "")[:200]
    if request.method != "POST":
        return _page(request, "verify_email", token=token)
    if _is_too_often(request):
        return _page(request, "verify_email", status=429, token=token, error=_("Too many tries. Please wait a minute."))
    try:
        recovery.email_verify(secret=token)
    except DomainError as error:
        return _page(request, "verify_email", status=error.http_status, error=error.message)
    return _page(request, "done", message=_("Your email address is verified. You can go back to the app."))


@never_cache
@csrf_protect
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def reset_password(request: HttpRequest) -> HttpResponse:
    token = (request.POST if request.method == "POST" else request.GET).get("token", "")[:200]
    if request.method != "POST":
        return _page(request, "reset_password", token=token, form=NewPasswordForm())
    form = NewPasswordForm(request.POST)
    if _is_too_often(request):
        form.add_error(None, _("Too many tries. Please wait a minute."))
        return _page(request, "reset_password", status=429, token=token, form=form)
    if not form.is_valid():
        return _page(request, "reset_password", status=422, token=token, form=form)
    try:
        user: User = recovery.password_reset(secret=token, new_password=form.cleaned_data["new_password"])
    except DomainError as error:
        form.add_error("new_password" if error.errors else None, error.message)
        return _page(request, "reset_password", status=error.http_status, token=token, form=form)
    message = _("The password of %(name)s is set, and all devices are signed out. Sign in again in the app.")
    return _page(request, "done", message=message % {"name": user.username})
