"""Every route. Each API route answers with and without the trailing slash (contract T1)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from accounts import pages
from devpocket import web_pages
from devpocket.api import ApiView
from devpocket.errors import NotFound
from devpocket.health_views import HealthViewSet
from devpocket.metrics_view import MetricsView
from devpocket.openapi_views import SchemaView
from terminals.dashboard import dashboard


class UnknownRoute(ApiView):
    """Whatever no route matches: the contract's 404, also with DEBUG on, where Django would show a page."""

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]
    schema = None

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        raise NotFound("There is nothing at this address.")

    get = post = put = patch = delete = head = options = http_method_not_allowed


health_urls = [
    re_path(r"^health/?$", HealthViewSet.as_view({"get": "health"})),
    re_path(r"^health/live/?$", HealthViewSet.as_view({"get": "live"})),
    re_path(r"^health/ready/?$", HealthViewSet.as_view({"get": "ready"})),
]
admin.site.index_template = "terminals/admin_index.html"
handler500 = "devpocket.errors.server_error"

urlpatterns = [
    path("api/v1/", include("environments.api.urls")),  # what is asked most comes first: Django tries one after another
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("templates_catalog.api.urls")),
    path("admin/operations/", admin.site.admin_view(dashboard), name="operations"),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("", include(health_urls)),
    path("api/v1/", include(health_urls)),
    re_path(r"^verify-email/?$", pages.verify_email),
    re_path(r"^reset-password/?$", pages.reset_password),
    path("", web_pages.index),
    *(re_path(rf"^{address}/?$", web_pages.index) for address in web_pages.ADDRESSES),
    path("sw.js", web_pages.service_worker),
    path("api/v1/", include("terminals.api.urls")),
]
if settings.API_DOCS:
    urlpatterns += [
        re_path(r"^api/schema/?$", SchemaView.as_view(), name="schema"),
        re_path(r"^docs/?$", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    ]
if settings.METRICS_TOKEN:
    urlpatterns += [re_path(r"^metrics/?$", MetricsView.as_view())]
urlpatterns += [re_path(r"", UnknownRoute.as_view())]  # an empty pattern: ".*" would leave out line feeds
