"""The catalogue over HTTP (contract section 7)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import MessageSerializer
from devpocket.api import ApiView
from devpocket.errors import InvalidInput
from devpocket.fields import writer
from devpocket.openapi import paged, refuses
from devpocket.paging import Page
from templates_catalog import services
from templates_catalog.api.openapi import request_body
from templates_catalog.api.serializers import (
    CategorySerializer,
    InitializedSerializer,
    TemplateSerializer,
    create_fields,
    update_fields,
)
from templates_catalog.errors import AdminRequired, NameTaken
from templates_catalog.importer import read_templates
from templates_catalog.models import Template
from templates_catalog.rules import SCHEMA
from templates_catalog.selectors import (
    get_template,
    template_categories,
    templates_matching,
    templates_offered,
    templates_visible,
)

POPULAR_LIMIT = 10


class AdminsWrite(BasePermission):
    """Raises: AdminRequired, for everybody else who writes."""

    def has_permission(self, request: Request, view: Any) -> bool:
        is_known = hasattr(view, str(request.method).lower())  # what a route lacks is a 405 for everybody
        if request.method in SAFE_METHODS or request.user.is_staff or not is_known:
            return True
        raise AdminRequired("Only administrators may do this.")


class CatalogueView(ApiView):
    permission_classes = [IsAuthenticated, AdminsWrite]

    def shown(self, request: Request, templates: Any, *, many: bool = False) -> Any:
        write = writer(TemplateSerializer, is_admin=request.user.is_staff)
        return list(map(write, templates)) if many else write(templates)


class TemplatesView(CatalogueView):
    @paged("templates")
    @extend_schema(
        responses=TemplateSerializer(many=True),
        parameters=[
            OpenApiParameter("category", enum=Template.Category.values),
            OpenApiParameter("status", enum=Template.Status.values),
            OpenApiParameter("search", description="Part of the name, the description or a tag."),
        ],
    )
    def get(self, request: Request) -> Response:
        """What environments can be made from, most used first."""
        rows = templates_visible(is_admin=request.user.is_staff)
        for name, known in (("category", Template.Category.values), ("status", Template.Status.values)):
            if (wanted := request.query_params.get(name)) is not None:
                if wanted not in known:
                    raise InvalidInput.field(name, f"{name} must be one of {', '.join(known)}.", "unknown_choice")
                rows = rows.filter(**{name: wanted})
        if search := request.query_params.get("search", "").strip():
            rows = templates_matching(rows, search)
        page = Page(request)
        is_plain = not (request.query_params or request.user.is_staff)  # as phones ask
        templates, total = page.cut(templates_offered() if is_plain else rows)
        return page.response(self.shown(request, templates, many=True), total, plural="templates")

    @refuses(AdminRequired, NameTaken)
    @extend_schema(request=request_body(is_partial=False), responses={201: TemplateSerializer})
    def post(self, request: Request) -> Response:
        """Create a template.

        For administrators. 409 name_taken, where there is one of that name already, deprecated ones too.
        """
        template = services.template_create(fields=create_fields(request.data), actor_id=request.user.pk)
        return Response(self.shown(request, template), status=201)


class TemplateView(CatalogueView):
    @extend_schema(responses=TemplateSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One template. By its name, in any case, or by another name that it is known under."""
        return Response(self.shown(request, get_template(name, is_admin=request.user.is_staff)))

    @refuses(AdminRequired)
    @extend_schema(request=request_body(is_partial=True), responses=TemplateSerializer)
    def put(self, request: Request, name: str) -> Response:
        """Change a template.

        For administrators. What is left out stays as it is; what is given is replaced as a whole.
        """
        template = get_template(name, is_admin=True)
        fields = update_fields(request.data, name=template.name)
        return Response(
            self.shown(request, services.template_update(name=template.name, fields=fields, actor_id=request.user.pk))
        )

    @refuses(AdminRequired)
    @extend_schema(request=request_body(is_partial=True), responses=TemplateSerializer)
    def patch(self, request: Request, name: str) -> Response:
        """Change a template. The same as PUT."""
        return self.put(request, name)

    @refuses(AdminRequired)
    @extend_schema(responses={200: MessageSerializer})
    def delete(self, request: Request, name: str) -> Response:
        """Deprecate a template. For administrators. It is offered no more, while environments made from it live on."""
        template = get_template(name, is_admin=True)
        services.template_deprecate(name=template.name, actor_id=request.user.pk)
        return Response({"message": f"{template.display_name} is not offered any more."})


class InitializeView(CatalogueView):
    @refuses(AdminRequired)
    @extend_schema(request=None, responses={200: InitializedSerializer})
    def post(self, request: Request) -> Response:
        """Import the set that comes along.

        For administrators. Creates what is missing of it, and changes none that is there.
        """
        templates = [file.template for file in read_templates()]
        created, skipped = services.templates_initialize(templates=templates, actor_id=request.user.pk)
        return Response(
            {
                "message": f"{len(created)} templates created, {len(skipped)} were there already.",
                "created": len(created),
                "skipped": len(skipped),
                "templates_created": created,
            }
        )


class SchemaView(CatalogueView):
    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """The JSON Schema of a template file, and of a POST's body."""
        return Response(SCHEMA)


class CategoriesView(CatalogueView):
    @extend_schema(responses=CategorySerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every category, with how many templates it has."""
        return Response(template_categories(is_admin=request.user.is_staff))


class PopularView(CatalogueView):
    @paged("templates")
    @extend_schema(responses=TemplateSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What is offered, most used first; ten of them unless `limit` says otherwise."""
        page = Page(request)
        if "limit" not in request.query_params:
            page.limit = POPULAR_LIMIT
        templates, total = page.cut(templates_visible(is_admin=False))
        return page.response(self.shown(request, templates, many=True), total, plural="templates")
