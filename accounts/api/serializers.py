"""The shapes of accounts on the wire (contract sections 3 and 4.1)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from django.conf import settings
from django.db import models
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.models import Plan, Session, SSHKey, User
from accounts.passwords import check_password_strength
from accounts.selectors import environment_count, is_known_region
from accounts.services import SignIn
from devpocket.fields import FlagField, TextField, TimeField, writer

TOKEN_TYPES = ["bearer"]
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

    subscription_plan = serializers.ChoiceField(Plan.choices, source="plan")
    is_admin = serializers.BooleanField(source="is_staff")
    environment_count = serializers.SerializerMethodField()

    serializer_field_mapping = {**serializers.ModelSerializer.serializer_field_mapping, models.DateTimeField: TimeField}

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
            "record_terminals",
            "is_admin",
            "environment_count",
        ]
        read_only_fields = fields

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        if settings.LEGACY_CAMELCASE_USER:
            for camel, snake in CAMEL_COPIES.items():
                fields[camel] = deepcopy(fields[snake])
                fields[camel].source = fields[snake].source or snake
                fields[camel].help_text = f"The same as {snake}."
        return fields

    def get_environment_count(self, user: User) -> int:
        return environment_count(user)


def shown_user(user: User) -> dict[str, Any]:
    # The context is not for the serializer: where the setting is another, so are its fields.
    return writer(UserSerializer, has_camel_copies=settings.LEGACY_CAMELCASE_USER)(user)


class TokenPairSerializer(serializers.Serializer):
    """The answer of every route that signs in."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.ChoiceField(TOKEN_TYPES)
    expires_in = serializers.IntegerField(help_text="Seconds that the access token lives.")
    refresh_expires_in = serializers.IntegerField(help_text="Seconds that the refresh token lives.")
    user = UserSerializer()

    class Meta:
        ref_name = "TokenPair"


class RegisteredSerializer(UserSerializer):
    """The token pair and the user's fields in one."""

    class Meta(UserSerializer.Meta):
        ref_name = "Registered"

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), **TokenPairSerializer().get_fields(), "message": serializers.CharField()}


class PasswordChangedSerializer(TokenPairSerializer):
    message = serializers.CharField()

    class Meta:
        ref_name = "PasswordChanged"


def token_pair(sign_in: SignIn) -> dict[str, Any]:
    return {
        "access_token": sign_in.tokens.access,
        "refresh_token": sign_in.tokens.refresh,
        "token_type": "bearer",
        "expires_in": settings.ACCESS_TOKEN_SECONDS,
        "refresh_expires_in": settings.REFRESH_TOKEN_SECONDS,
        "user": shown_user(sign_in.user),
    }


class LowerCaseEmailField(TextField, serializers.EmailField):
    """Lower-cased before it is validated: some letters become two, which the length has to count."""

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(data)).lower()


class UsernameField(TextField, serializers.RegexField):
    default_error_messages = {
        "invalid": "Username may only have letters, digits, hyphens and underscores.",
        "min_length": "Username must have at least 3 characters.",
        "max_length": "Username must have at most 30 characters.",
    }

    def __init__(self, **kwargs: Any) -> None:
        messages = {**self.default_error_messages, **kwargs.pop("error_messages", {})}
        super().__init__(r"^[A-Za-z0-9_-]+\Z", min_length=3, max_length=30, error_messages=messages, **kwargs)


class NewPasswordField(TextField):
    """Its length; what else a password must be is checked where the user is known (accounts.passwords)."""

    def __init__(self, **kwargs: Any) -> None:
        messages = {
            "min_length": "Password must have at least 8 characters.",
            "max_length": "Password must have at most 128 characters.",
        }
        super().__init__(
            min_length=8,
            max_length=128,
            trim_whitespace=False,
            write_only=True,
            error_messages=messages,
            help_text="With a lower-case and an upper-case letter and a digit; no common password, and none that has "
            "the user's name or address in it.",
            **kwargs,
        )


class OldPasswordField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=128, trim_whitespace=False, write_only=True, **kwargs)


class FullNameField(TextField):
    """Null and empty are the same: none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, required=False, allow_null=True, allow_blank=True, **kwargs)

    def to_internal_value(self, data: Any) -> str | None:  # type: ignore[override]
        return super().to_internal_value(data) or None

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(data) or None


class RegionField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=50, required=False, allow_null=True, help_text="A slug of `/regions`.", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        slug = str(super().to_internal_value(data))
        if not is_known_region(slug):
            raise serializers.ValidationError("This region isn't known.", code="unknown_choice")
        return slug


class RegisterSerializer(serializers.Serializer):
    username = UsernameField()
    email = LowerCaseEmailField(max_length=254)
    password = NewPasswordField()
    full_name = FullNameField(default=None)
    preferred_region = RegionField(default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_password_strength(attrs["password"], username=attrs["username"], email=attrs["email"])
        return attrs


class LoginSerializer(serializers.Serializer):
    """`email` and `username` are other spellings of `username_or_email`."""

    username_or_email = TextField(max_length=254, help_text="In any case.")
    email = TextField(required=False, allow_null=True, allow_blank=True)
    username = TextField(required=False, allow_null=True, allow_blank=True)
    password = OldPasswordField()

    class Meta:
        one_of = ("username_or_email", "email", "username")

    def to_internal_value(self, data: dict[str, Any]) -> dict[str, Any]:
        given = next((data[name] for name in self.Meta.one_of if data.get(name) is not None), None)
        return dict(super().to_internal_value(data if given is None else {**data, "username_or_email": given}))


class RefreshSerializer(serializers.Serializer):
    refresh_token = TextField(max_length=4096)


class LogoutSerializer(serializers.Serializer):
    """`refresh_token` is accepted and not needed: the access token already names the session."""

    refresh_token = TextField(max_length=4096, required=False, allow_null=True, allow_blank=True)
    all = FlagField(
        required=False, allow_null=True, default=False, help_text="Every sign-in of the user's, not this one alone."
    )


class MessageSerializer(serializers.Serializer):
    message = serializers.CharField()


class VerifyEmailSerializer(serializers.Serializer):
    """`token`: the link's token, or the six digits, which also need Bearer or `email` to say whose they are."""

    token = TextField(max_length=200, help_text="The link's, or the mail's six digits.")
    email = TextField(max_length=254, required=False, allow_null=True)


class ResendSerializer(serializers.Serializer):
    email = TextField(max_length=254, required=False, allow_null=True)


class ForgotSerializer(serializers.Serializer):
    email = LowerCaseEmailField(max_length=254)


class ResetSerializer(VerifyEmailSerializer):
    new_password = NewPasswordField()


class ChangePasswordSerializer(serializers.Serializer):
    current_password = OldPasswordField()
    new_password = NewPasswordField()


class DeleteAccountSerializer(serializers.Serializer):
    password = OldPasswordField(required=False, allow_null=True)


class AddressField(TextField, serializers.URLField):
    """Of a page or picture."""


class UpdateUserSerializer(serializers.Serializer):
    """Each field may be left out. Plan and flags are not ours to change and are ignored."""

    full_name = FullNameField()
    username = UsernameField(required=False)
    avatar_url = AddressField(max_length=500, required=False, allow_null=True)
    preferred_region = RegionField()
    record_terminals = FlagField(required=False, help_text="Record terminals whose `?record=` doesn't say whether to.")
    email = TextField(
        max_length=254,
        required=False,
        allow_null=True,
        write_only=True,
        help_text="Can't be changed: anything but the present one is refused as `immutable`.",
    )

    def validate_avatar_url(self, url: str | None) -> str | None:
        if url is not None and not url.lower().startswith(("http://", "https://")):
            raise serializers.ValidationError("Avatar url must begin with http:// or https://.")
        return url

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        email = attrs.pop("email", None)
        if email is not None and email.lower() != self.context["user"].email:
            message = "The email address can't be changed."
            raise serializers.ValidationError({"email": serializers.ErrorDetail(message, "immutable")})
        return attrs


class SessionSerializer(serializers.ModelSerializer):
    """A sign-in. `current`: the one that asks."""

    created_at = TimeField(read_only=True)
    last_used_at = TimeField(read_only=True)
    current = serializers.SerializerMethodField()  # context `current`: its id

    class Meta:
        model = Session
        fields = ["id", "created_at", "last_used_at", "user_agent", "ip", "current"]
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        return bool(session.pk == self.context["current"])


class SSHKeySerializer(serializers.ModelSerializer):
    class Meta:
        model = SSHKey
        fields = ["id", "name", "public_key", "fingerprint", "created_at"]
        read_only_fields = fields


class AddSSHKeySerializer(serializers.Serializer):
    public_key = TextField(
        max_length=64 * 1024, trim_whitespace=False, help_text="A line as in `authorized_keys`, without options."
    )
    name = TextField(max_length=100, required=False, allow_null=True, allow_blank=True)


class RecentActivitySerializer(serializers.Serializer):
    environments_created_last_7_days = serializers.IntegerField()
    environments_created_last_30_days = serializers.IntegerField()
    environments_active_last_week = serializers.IntegerField()


class UserLimitsSerializer(serializers.Serializer):
    max_environments = serializers.IntegerField(allow_null=True, help_text="Null: as many as one likes.")
    used = serializers.IntegerField()


class StatsSerializer(serializers.Serializer):
    total_environments = serializers.IntegerField()
    active_tokens = serializers.IntegerField(help_text="Sign-ins that are alive.")
    environments_by_status = serializers.DictField(child=serializers.IntegerField())
    environments_by_phase = serializers.DictField(child=serializers.IntegerField())
    recent_activity = RecentActivitySerializer()
    limits = UserLimitsSerializer()
