"""What every API view starts from."""

from __future__ import annotations

from typing import Any

from adrf.routers import SimpleRouter
from adrf.viewsets import ViewSet
from django.contrib.auth.models import AnonymousUser
from rest_framework.request import Request
from rest_framework.views import APIView

from devpocket.errors import DomainError
from devpocket.logs import about, uuid_or_none
from devpocket.throttling import Bucket


class ApiMixin:
    """Counts every request against its rate limits, refused sign-ins included, before permissions are looked at."""

    throttle_classes = [Bucket]
    check_throttles = APIView.check_throttles  # adrf's goes through the event loop, for throttles that we don't have

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.format_kwarg = self.get_format_suffix(**kwargs)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request, force=True)
        request.version, request.versioning_scheme = self.determine_version(request, *args, **kwargs)
        try:
            self.perform_authentication(request)
        except DomainError:
            request.user, request.auth = AnonymousUser(), None
            self.check_throttles(request)  # counted by address
            raise
        about(user_id=request.user.pk, environment_id=self._environment_id(request, kwargs))
        self.check_throttles(request)
        self.check_permissions(request)

    @staticmethod
    def _environment_id(request: Request, names: dict[str, Any]) -> str | None:
        """The environment that the address names, for the log."""
        below_it = "environments/(?P<pk>" in getattr(request._request.resolver_match, "route", "")
        return uuid_or_none(names.get("pk")) if below_it else None


class ApiView(ApiMixin, APIView):
    """A view whose handlers are plain functions: Django runs them in a thread of their own."""


class AsyncApiViewSet(ApiMixin, ViewSet):
    """A viewset whose handlers (`alist`, `acreate`, ...) run on the event loop."""

    view_is_async = True  # adrf would look through all of the class for it, with every request


class ApiRouter(SimpleRouter):
    """Routes that answer with and without the trailing slash (contract T1)."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
