"""`/web/*`: signing in from a browser (docs/accounts.md, "In a browser").

As the routes of `/auth` with these names, but the refresh token goes into a cookie and is never in a body.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api import google_views, recovery_views, views
from accounts.api.browser_cookie import (
    HEADER,
    NAME,
    FromOurPage,
    RefreshCookieAuthentication,
    cookie_clear,
    cookie_set,
)
from accounts.api.serializers import (
    LogoutSerializer,
    MessageSerializer,
    PasswordChangedSerializer,
    RegisteredSerializer,
    TokenPairSerializer,
    token_pair,
)
from accounts.errors import NotAuthenticated, NotOurPage, TokenExpired, TokenInvalid
from devpocket.openapi import refuses
from devpocket.throttling import Bucket


def in_cookie(answer: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The same answer without the refresh token."""

    class WithoutRefreshToken(answer):  # type: ignore[valid-type, misc]
        class Meta(answer.Meta):  # type: ignore[name-defined, misc]
            ref_name = f"Web{answer.Meta.ref_name}"

        def get_fields(self) -> dict[str, serializers.Field]:
            return {name: field for name, field in super().get_fields().items() if name != "refresh_token"}

    return WithoutRefreshToken


WebTokenPairSerializer = in_cookie(TokenPairSerializer)


class ForOurPage:
    """Before a view: asks for our page, and moves the refresh token of the answer into the cookie."""

    refusals = (NotOurPage,)
    common_parameters = [
        OpenApiParameter(
            HEADER,
            {"type": "string", "enum": ["1"]},
            OpenApiParameter.HEADER,
            required=True,
            description="Other sites' pages can't send it.",
        ),
        OpenApiParameter(
            "Set-Cookie", str, OpenApiParameter.HEADER, response=[200, 201], description=f"`{NAME}`, or its end."
        ),
    ]

    def get_permissions(self) -> list[BasePermission]:
        return [*super().get_permissions(), FromOurPage()]  # type: ignore[misc]

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refresh_token = response.data.pop("refresh_token", None)
        if refresh_token is not None:
            cookie_set(response, refresh_token)
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        return answer


@extend_schema_view(post=extend_schema(responses={201: in_cookie(RegisteredSerializer)}))
class WebRegisterView(ForOurPage, views.RegisterView):
    pass


@extend_schema_view(post=extend_schema(responses=WebTokenPairSerializer))
class WebLoginView(ForOurPage, views.LoginView):
    pass


@extend_schema_view(post=extend_schema(responses=in_cookie(google_views.GoogleSignInSerializer)))
class WebGoogleView(ForOurPage, google_views.GoogleView):
    pass


@extend_schema_view(post=extend_schema(responses=in_cookie(PasswordChangedSerializer)))
class WebChangePasswordView(ForOurPage, recovery_views.ChangePasswordView):
    pass


class CookieBucket(Bucket):
    """30/min per session; without a cookie of one, per address."""

    bucket = "refresh"

    def key(self, request: Request, view: object) -> str:
        return super().key(request, view) if request.auth is None else f"session:{request.auth.pk}"


class WebRefreshView(ForOurPage, views.OpenView):
    authentication_classes = [RefreshCookieAuthentication]
    throttle_classes = [CookieBucket]

    @refuses(NotAuthenticated, TokenInvalid, TokenExpired)
    @extend_schema(request=None, responses=WebTokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Get a new access token for the cookie, which is replaced. The old one is good for some seconds more, so that
        tabs may ask at once; then its use ends the session.
        """
        refresh_token = request.COOKIES.get(NAME)
        if not refresh_token:
            raise NotAuthenticated("You are not signed in.")
        return Response(token_pair(services.session_refresh(refresh_token=refresh_token)))

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if response.status_code == 401:  # and not when it couldn't be looked at: then it may be good
            cookie_clear(response)
        return super().finalize_response(request, response, *args, **kwargs)


class WebLogoutSerializer(LogoutSerializer):
    """The cookie says which session."""

    refresh_token = None


class WebLogoutView(ForOurPage, views.LogoutView):
    """By the cookie and not by an access token, which may have run out: nobody is to find this browser signed in."""

    authentication_classes = [RefreshCookieAuthentication]
    permission_classes = [AllowAny]

    @extend_schema(request=WebLogoutSerializer, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        """Sign the browser out. Its session ends, if it has one that lives, and the cookie goes."""
        form = WebLogoutSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if request.auth is not None:
            services.session_logout(session=request.auth, every=bool(form.validated_data["all"]))
        return Response({"message": "You are signed out."})

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if response.status_code == 200:  # whatever the cookie was worth
            cookie_clear(response)
        return super().finalize_response(request, response, *args, **kwargs)
