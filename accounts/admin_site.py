"""The admin as a site of its own: who gets in, how often they may try, and their second factor."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from devpocket.logs import about

PROVEN = "second_factor"  # in a session: the authenticator whose code it was opened with


class OperatorsAdminConfig(AdminConfig):
    default_site = "accounts.admin_site.OperatorsSite"


class OperatorsSite(AdminSite):
    """Staff only. Who has set up a second factor proves it at every sign-in; with ADMIN_REQUIRES_TOTP everybody has to,
    and sees nothing but the page that sets it up until then.
    """

    site_header = site_title = "DevPocket"
    login_template = "accounts/admin/login.html"

    @property
    def login_form(self) -> Any:
        from accounts.admin_forms import SignInForm  # imports models, which aren't loaded when this site is

        return SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return self.standing(request) == "in"

    def standing(self, request: HttpRequest) -> str:
        """`in`; `out`: not signed in, no operator, or without their code; `must_set_up`: a second factor."""
        known: str | None = getattr(request, "operators_standing", None)
        if known is None:
            known = request.operators_standing = self._standing(request)  # type: ignore[attr-defined]
            if known != "out":
                about(user_id=request.user.pk)
        return known

    def _standing(self, request: HttpRequest) -> str:
        from accounts.second_factor import find_authenticator

        if not super().has_permission(request):
            return "out"
        authenticator = find_authenticator(request.user)  # type: ignore[arg-type]
        if authenticator is None:
            return "must_set_up" if settings.ADMIN_REQUIRES_TOTP else "in"
        return "in" if request.session.get(PROVEN) == authenticator.pk else "out"

    def get_urls(self) -> list[Any]:
        page = never_cache(csrf_protect(self.second_factor))
        return [path("second-factor/", page, name="second_factor"), *super().get_urls()]

    def second_factor(self, request: HttpRequest) -> HttpResponse:
        from accounts.second_factor_page import second_factor_page

        if self.standing(request) == "out":
            return HttpResponseRedirect(f"{reverse('admin:login')}?next={request.path}")
        return second_factor_page(self, request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        from django.contrib.auth.views import PasswordChangeView

        from accounts.admin_forms import PasswordForm

        context = {**self.each_context(request), **(extra_context or {})}
        done = reverse("admin:password_change_done")
        view = PasswordChangeView.as_view(form_class=PasswordForm, success_url=done, extra_context=context)
        return view(request)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "GET" and self.standing(request) == "must_set_up":
            return HttpResponseRedirect(reverse("admin:second_factor"))
        response: Any = super().login(request, extra_context)
        if hasattr(request, "second_factor_proven") and response.status_code == 302:
            request.session[PROVEN] = request.second_factor_proven
        reset_at = getattr(request, "admin_throttled_until", None)
        if reset_at is not None:
            response.status_code = 429
            response["Retry-After"] = str(max(1, int(reset_at - time.time())))
        return response
