"""What every API view starts from."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from adrf.viewsets import ViewSet
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
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


def _written(response: Any) -> Any:
    """The answer with its body written here and now: Django would go to the thread once more for it."""
    if isinstance(response, Response):
        response.render()
        response.render = None
    return response


class ApiView(ApiMixin, APIView):
    """A view whose handlers are plain functions: Django runs it in the request's thread."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _written(super().dispatch(request, *args, **kwargs))


class ApiViewSet(ApiMixin, ViewSet):
    """A viewset with handlers (`alist`, `acreate`, ...) that wait for something, which they do on the event loop. Those
    that don't are plain functions, and run in the request's thread.
    """

    view_is_async = True  # adrf would look through all of the class for it, with every request

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if iscoroutinefunction(getattr(self, str(request.method).lower(), None)):
            return await super().async_dispatch(request, *args, **kwargs)
        return await _dispatched(self, request, *args, **kwargs)


@sync_to_async
def _dispatched(view: ApiViewSet, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    return _written(view.sync_dispatch(request, *args, **kwargs))


class ApiRouter(SimpleRouter):
    """Routes that answer with and without the trailing slash (contract T1)."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
