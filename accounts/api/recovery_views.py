"""Verifying an address, and passwords forgotten, set anew and changed (contract section 3)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import recovery
from accounts.api.authentication import AccessTokenAuthentication
from accounts.api.serializers import (
    ChangePasswordSerializer,
    ForgotSerializer,
    MessageSerializer,
    PasswordChangedSerializer,
    ResendSerializer,
    ResetSerializer,
    UserSerializer,
    VerifyEmailSerializer,
    shown_user,
    token_pair,
)
from accounts.api.views import OpenView, device_of
from accounts.errors import InvalidToken, TooManyMails
from devpocket.api import ApiView
from devpocket.errors import InvalidInput
from devpocket.openapi import refuses
from devpocket.throttling import AuthAddressBucket, AuthBucket


class SignedInOrNot(ApiView):
    """A route for both: with a Bearer header the caller is known, without one the body has to say who is meant."""

    authentication_classes = [AccessTokenAuthentication]
    permission_classes = [AllowAny]
    throttle_classes = [AuthBucket, AuthAddressBucket]


class VerifyEmailView(SignedInOrNot):
    answer = inline_serializer("EmailVerified", {"message": serializers.CharField(), "user": UserSerializer()})

    @refuses(InvalidToken)
    @extend_schema(request=VerifyEmailSerializer, responses=answer)
    def post(self, request: Request) -> Response:
        """Show that the address is one's own, by the mail's link or its six digits."""
        form = VerifyEmailSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = recovery.email_verify(
            secret=form.validated_data["token"].strip(),
            user=request.user if request.user.is_authenticated else None,
            email=form.validated_data.get("email"),
        )
        return Response({"message": "Your email address is verified.", "user": shown_user(user)})


class ResendVerificationView(SignedInOrNot):
    answer = inline_serializer(
        "VerificationResent", {"message": serializers.CharField(), "already_verified": serializers.BooleanField()}
    )

    @refuses(TooManyMails)
    @extend_schema(request=ResendSerializer, responses=answer)
    def post(self, request: Request) -> Response:
        """Send the mail once more. Signed in, or with `email`; once in 60 s, three times in 15 minutes."""
        form = ResendSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if request.user.is_authenticated:
            if request.user.is_verified:
                return Response({"message": "Your email address is verified already.", "already_verified": True})
            address = request.user.email
        elif not (address := form.validated_data.get("email")):
            raise InvalidInput.field("email", "Please give your email address.", "required")
        recovery.verification_resend(address=address)
        return Response({"message": "A new code is on its way.", "already_verified": False})


class ForgotPasswordView(OpenView):
    @extend_schema(request=ForgotSerializer, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        """Send a mail that resets the password. The answer is the same where nobody has the address."""
        form = ForgotSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        recovery.password_forgotten(address=form.validated_data["email"])
        return Response({"message": "If there is an account with this address, an email is on its way."})


class ResetPasswordView(OpenView):
    @refuses(InvalidToken)
    @extend_schema(request=ResetSerializer, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        """Set a new password, by the mail's link or its six digits. All sessions end."""
        form = ResetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        recovery.password_reset(
            secret=form.validated_data["token"].strip(),
            new_password=form.validated_data["new_password"],
            email=form.validated_data.get("email"),
        )
        return Response({"message": "Your password is set. Please sign in."})


class ChangePasswordView(ApiView):
    throttle_classes = [AuthBucket, AuthAddressBucket]

    @extend_schema(request=ChangePasswordSerializer, responses=PasswordChangedSerializer)
    def post(self, request: Request) -> Response:
        """Change the password. All sessions end; the caller gets a new one."""
        form = ChangePasswordSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sign_in = recovery.password_change(user=request.user, **form.validated_data, device=device_of(request))
        return Response({"message": "Your password is changed.", **token_pair(sign_in)})
