"""The shapes of accounts on the wire (contract sections 3 and 4.1)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.models import User
from accounts.selectors import environment_count
from accounts.services import SignIn

CAMEL_COPIES = {
    "fullName": "full_name",
    "isActive": "is_active",
    "isVerified": "is_verified",
    "subscriptionPlan": "subscription_plan",
    "createdAt": "created_at",
    "lastLogin": "last_login",
}


class UserSerializer(serializers.ModelSerializer):
    """A user as their owner sees it, with the camelCase copies that older phones decode."""

    subscription_plan = serializers.CharField(source="plan")
    is_admin = serializers.BooleanField(source="is_staff")
    environment_count = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "email",
            "full_name",
            "is_active",
            "is_verified",
            "subscription_plan",
            "created_at",
            "updated_at",
            "last_login",
            "preferred_region",
            "avatar_url",
            "is_admin",
            "environment_count",
        ]
        read_only_fields = fields

    def get_environment_count(self, user: User) -> int:
        return environment_count(user)

    def to_representation(self, user: User) -> dict[str, Any]:
        shown = super().to_representation(user)
        if settings.LEGACY_CAMELCASE_USER:
            shown |= {camel: shown[snake] for camel, snake in CAMEL_COPIES.items()}
        return shown


class TokenPairSerializer(serializers.Serializer):
    """The answer of every route that signs in (contract section 3, TP)."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    refresh_expires_in = serializers.IntegerField()
    user = UserSerializer()


def token_pair(sign_in: SignIn) -> dict[str, Any]:
    return {
        "access_token": sign_in.tokens.access,
        "refresh_token": sign_in.tokens.refresh,
        "token_type": "bearer",
        "expires_in": settings.ACCESS_TOKEN_SECONDS,
        "refresh_expires_in": settings.REFRESH_TOKEN_SECONDS,
        "user": UserSerializer(sign_in.user).data,
    }


class LowerCaseEmailField(serializers.EmailField):
    """Lower-cased before it is validated: some letters become two, which the length has to count."""

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(data)).lower()


class RegisterSerializer(serializers.Serializer):
    username = serializers.RegexField(
        r"^[A-Za-z0-9_-]+\Z",
        min_length=3,
        max_length=30,
        error_messages={
            "invalid": "Username may only have letters, digits, hyphens and underscores.",
            "min_length": "Username must have at least 3 characters.",
            "max_length": "Username must have at most 30 characters.",
        },
    )
    email = LowerCaseEmailField(max_length=254)
    password = serializers.CharField(
        min_length=8,
        max_length=128,
        trim_whitespace=False,
        write_only=True,
        error_messages={
            "min_length": "Password must have at least 8 characters.",
            "max_length": "Password must have at most 128 characters.",
        },
    )
    full_name = serializers.CharField(max_length=100, required=False, allow_null=True, allow_blank=True, default=None)
    preferred_region = serializers.CharField(max_length=50, required=False, allow_null=True, default=None)

    def validate_full_name(self, name: str | None) -> str | None:
        return name or None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_password_strength(attrs["password"], username=attrs["username"], email=attrs["email"])
        return attrs


def check_password_strength(password: str, *, username: str, email: str) -> None:
    """Hold a new password against contract 3.1. Raises: serializers.ValidationError on the field `password`."""

    def refuse(message: str, code: str) -> serializers.ValidationError:
        return serializers.ValidationError({"password": serializers.ErrorDetail(message, code)})

    if not (
        any(c.islower() for c in password) and any(c.isupper() for c in password) and any(c.isdigit() for c in password)
    ):
        raise refuse(
            "Password needs at least one lower-case letter, one upper-case letter and one digit.", "weak_password"
        )
    lowered = password.lower()
    names = (username.lower(), email.partition("@")[0].lower())
    if any(len(name) >= 3 and name in lowered for name in names):  # a single letter would be in nearly every password
        raise refuse("Password must not contain your username or email address.", "common_password")
    try:
        CommonPasswordValidator().validate(password)
    except DjangoValidationError as error:
        raise refuse("This password is too common. Please choose another one.", "common_password") from error


class LoginSerializer(serializers.Serializer):
    """`email` and `username` are other spellings of `username_or_email`."""

    username_or_email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=128, trim_whitespace=False, write_only=True)

    def to_internal_value(self, data: dict[str, Any]) -> dict[str, Any]:
        names = ("username_or_email", "email", "username")
        given = next((data[name] for name in names if data.get(name) is not None), None)
        return dict(super().to_internal_value(data if given is None else {**data, "username_or_email": given}))


class RefreshSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=4096)


class LogoutSerializer(serializers.Serializer):
    """`refresh_token` is accepted and not needed: the access token already names the session."""

    refresh_token = serializers.CharField(max_length=4096, required=False, allow_null=True, allow_blank=True)
    all = serializers.BooleanField(required=False, allow_null=True, default=False)


class MessageSerializer(serializers.Serializer):
    message = serializers.CharField()
