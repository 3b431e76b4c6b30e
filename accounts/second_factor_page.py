"""The admin's page of an operator's own second factor: set it up, make new recovery codes, remove it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import second_factor
from accounts.admin_forms import ProofForm
from accounts.admin_site import PROVEN
from accounts.models import User
from devpocket import crypto

PENDING = "second_factor_pending"  # in the session: the secret that is being set up, encrypted


def second_factor_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """For who is signed in as far as they can be. Each change takes the password and a code."""
    user: User = request.user  # type: ignore[assignment]
    authenticator = second_factor.find_authenticator(user)
    form = ProofForm(request.POST or None, request=request, has_factor=authenticator is not None)
    codes: list[str] | None = None
    if form.is_valid():
        if authenticator is None:
            codes = _set_up(request, user, form)
        elif "remove" not in request.POST:
            codes = second_factor.recovery_codes_renew(user=user)
        elif not settings.ADMIN_REQUIRES_TOTP:
            second_factor.second_factor_remove(user=user, actor=user)
            messages.success(request, _("No code is asked for any more."))
            return HttpResponseRedirect(reverse("admin:index"))
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": _("Second factor"),
        "form": form,
        "codes": codes,
        "authenticator": authenticator,
        "is_required": settings.ADMIN_REQUIRES_TOTP,
    }
    if codes is None and authenticator is None:
        secret = _pending(request)
        context |= {"secret": secret, "picture": second_factor.picture(user, secret)}
    elif codes is None:
        context["codes_left"] = second_factor.recovery_codes_left(user)
    return TemplateResponse(request, "accounts/admin/second_factor.html", context, status=_status(request, form))


def _set_up(request: HttpRequest, user: User, form: ProofForm) -> list[str] | None:
    codes = second_factor.second_factor_set_up(user=user, secret=_pending(request), code=form.cleaned_data["code"])
    if codes is None:
        form.add_error("code", _("This is not the app's code. Is the clock of its device right?"))
        return None
    del request.session[PENDING]
    request.session[PROVEN] = second_factor.find_authenticator(user).pk  # type: ignore[union-attr]
    request.session.cycle_key()
    return codes


def _pending(request: HttpRequest) -> str:
    if PENDING not in request.session:
        request.session[PENDING] = crypto.encrypt(second_factor.secret_new())
    return crypto.decrypt(request.session[PENDING])


def _status(request: HttpRequest, form: ProofForm) -> int:
    if hasattr(request, "admin_throttled_until"):
        return 429
    return 422 if form.errors else 200
