"""What can be chosen from, and what the service is (contract section 8)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.plans import plan_limits
from devpocket.api import ApiView
from devpocket.errors import NotFound
from devpocket.openapi import paged
from devpocket.paging import Page
from devpocket.times import time_text
from environments import catalogue
from environments.api.serializers import ClusterSerializer, InfoSerializer, RegionSerializer, SizeSerializer
from environments.lifecycle import Phase, Status


def page_of(request: Request, items: list[Any], *, plural: str) -> Response:
    """All of them, unless a part is asked for: who chooses a size needs the whole list, and it is a short one."""
    page = Page(request)
    if "limit" not in request.query_params:
        page.limit = max(page.limit, len(items))
    return page.response(items[page.offset : page.offset + page.limit], len(items), plural=plural)


class ClustersView(ApiView):
    @paged("clusters")
    @extend_schema(responses=ClusterSerializer(many=True), deprecated=True)
    def get(self, request: Request) -> Response:
        """Of an older architecture, for phones that may ask: there are none."""
        return page_of(request, [], plural="clusters")


class ClusterView(ApiView):
    @extend_schema(responses={}, deprecated=True)
    def get(self, request: Request, cluster_id: str) -> Response:
        """There is none."""
        raise NotFound("There is no such cluster.")


class RegionsView(ApiView):
    @paged("regions")
    @extend_schema(responses=RegionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Where machines can be; all of them unless `limit` says otherwise."""
        regions = sorted(catalogue.regions(), key=lambda region: region.slug)
        return page_of(request, list(RegionSerializer(regions, many=True).data), plural="regions")


class SizesView(ApiView):
    @paged("sizes")
    @extend_schema(
        responses=SizeSerializer(many=True), parameters=[OpenApiParameter("region", description="A region's slug.")]
    )
    def get(self, request: Request) -> Response:
        """How large machines can be; all of them unless `limit` says otherwise."""
        region = request.query_params.get("region")
        sizes = [size for size in catalogue.sizes() if region is None or region in size.regions]
        shown = SizeSerializer(sizes, many=True, context={"plan": request.user.plan}).data
        return page_of(request, list(shown), plural="sizes")


class InfoView(ApiView):
    authentication_classes: list[type] = []
    permission_classes = [AllowAny]

    @extend_schema(responses=InfoSerializer)
    def get(self, request: Request) -> Response:
        """What this service is and can do; needs no sign-in."""
        body: dict[str, Any] = {
            "name": "DevPocket",
            "version": settings.VERSION,
            "environment": settings.ENVIRONMENT,
            "features": {
                "authentication": True,
                "google_oauth": bool(settings.GOOGLE_CLIENT_IDS),
                "websockets": True,
                "rate_limiting": True,
                "metrics": True,
                "email_verification": settings.REQUIRE_EMAIL_VERIFICATION,
            },
            "google_web_client_id": settings.GOOGLE_WEB_CLIENT_ID or None,
            "limits": {
                f"{plan}_environments": plan_limits(plan).max_environments for plan in ("free", "starter", "pro")
            },
            "status_values": [str(status) for status in Status],
            "phase_values": [str(phase) for phase in Phase],
            "timestamp": time_text(timezone.now()),
        }
        return Response(body)
