"""The catalogue over HTTP (contract section 7)."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.api import ApiView
from devpocket.errors import InvalidInput
from devpocket.paging import Page
from templates_catalog.api.serializers import TemplateSerializer
from templates_catalog.models import Template
from templates_catalog.selectors import get_template, templates_visible


class TemplatesView(ApiView):
    @extend_schema(
        responses=TemplateSerializer(many=True),
        parameters=[OpenApiParameter(name) for name in ("category", "status", "limit", "offset")],
    )
    def get(self, request: Request) -> Response:
        rows = templates_visible(is_admin=request.user.is_staff)
        for name, known in (("category", Template.Category.values), ("status", Template.Status.values)):
            if (wanted := request.query_params.get(name)) is not None:
                if wanted not in known:
                    raise InvalidInput.field(name, f"{name} must be one of {', '.join(known)}.", "unknown_choice")
                rows = rows.filter(**{name: wanted})
        page = Page(request)
        templates, total = page.cut(rows)
        shown = TemplateSerializer(templates, many=True, context={"is_admin": request.user.is_staff}).data
        return page.response(shown, total, plural="templates")


class TemplateView(ApiView):
    @extend_schema(responses=TemplateSerializer)
    def get(self, request: Request, name: str) -> Response:
        is_admin = request.user.is_staff
        template = get_template(name, is_admin=is_admin)
        return Response(TemplateSerializer(template, context={"is_admin": is_admin}).data)
