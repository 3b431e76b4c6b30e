"""Sign-up, sign-in and sessions over HTTP (contract section 3)."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.serializers import (
    LoginSerializer,
    LogoutSerializer,
    MessageSerializer,
    RefreshSerializer,
    RegisteredSerializer,
    RegisterSerializer,
    TokenPairSerializer,
    UserSerializer,
    shown_user,
    token_pair,
)
from accounts.errors import AccountLocked, EmailTaken, InvalidCredentials, TokenExpired, TokenInvalid, UsernameTaken
from accounts.services import Device
from accounts.tokens import RefreshJWT, parse_token
from devpocket.api import ApiView
from devpocket.errors import DomainError
from devpocket.openapi import refuses
from devpocket.throttling import AuthAddressBucket, AuthBucket, Bucket, client_address


def device_of(request: Request) -> Device:
    return Device(request.headers.get("User-Agent", ""), client_address(request._request) or None)


class OpenView(ApiView):
    """A route for those who aren't signed in yet. A Bearer header, stale perhaps, is not looked at."""

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]
    throttle_classes = [AuthBucket, AuthAddressBucket]


class RegisterView(OpenView):
    @refuses(UsernameTaken, EmailTaken)
    @extend_schema(
        request=RegisterSerializer,
        responses={201: RegisteredSerializer},
        examples=[
            OpenApiExample(
                "The least",
                value={"username": "ann", "email": "ann@example.org", "password": "Correct-Horse-7"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Create an account and sign it in. The token pair and the user's fields come in one answer (contract T4)."""
        form = RegisterSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sign_in = services.user_register(**form.validated_data, device=device_of(request))
        pair = token_pair(sign_in)
        return Response({**pair["user"], **pair, "message": "Welcome to DevPocket."}, status=201)


class LoginView(OpenView):
    @refuses(InvalidCredentials, AccountLocked)
    @extend_schema(
        request=LoginSerializer,
        responses=TokenPairSerializer,
        examples=[
            OpenApiExample(
                "By name", value={"username_or_email": "ann", "password": "Correct-Horse-7"}, request_only=True
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Sign in. After five wrong passwords in a row the account is locked for a while."""
        form = LoginSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sign_in = services.user_login(
            name_or_email=form.validated_data["username_or_email"],
            password=form.validated_data["password"],
            device=device_of(request),
        )
        return Response(token_pair(sign_in))


class RefreshBucket(Bucket):
    """30/min per session; a token that can't be read counts against its sender's address."""

    bucket = "refresh"

    def key(self, request: Request, view: object) -> str:
        try:
            return f"session:{parse_token(RefreshJWT, request.data.get('refresh_token')).session_id}"
        except DomainError:
            return f"ip:{client_address(request._request)}"


class RefreshView(OpenView):
    throttle_classes = [RefreshBucket]

    @refuses(TokenInvalid, TokenExpired)
    @extend_schema(request=RefreshSerializer, responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Get a new token pair. The old refresh token is good for some seconds more, then its use ends the session."""
        form = RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(token_pair(services.session_refresh(refresh_token=form.validated_data["refresh_token"])))


class MeView(ApiView):
    @extend_schema(responses=UserSerializer)
    def get(self, request: Request) -> Response:
        """Who is signed in."""
        return Response(shown_user(request.user))


class LogoutView(ApiView):
    @extend_schema(request=LogoutSerializer, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        """Sign out. The tokens are worth nothing from now on, and WebSockets opened by them are closed."""
        form = LogoutSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        services.session_logout(session=request.auth, every=bool(form.validated_data["all"]))
        return Response({"message": "You are signed out."})
