"""Users about themselves: profile, sessions, keys, and closing the account (contract section 4)."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import profile, services, ssh_keys
from accounts.api.serializers import (
    AddSSHKeySerializer,
    DeleteAccountSerializer,
    MessageSerializer,
    SessionSerializer,
    SSHKeySerializer,
    UpdateUserSerializer,
    UserSerializer,
)
from accounts.selectors import sessions_live, user_stats
from devpocket.api import ApiView
from devpocket.errors import NotFound
from devpocket.paging import Page
from devpocket.throttling import AuthAddressBucket, AuthBucket, Bucket


def parse_id(raw: str) -> UUID:
    """Raises: NotFound."""
    try:
        return UUID(raw)
    except ValueError as error:
        raise NotFound("There is nothing of this id.") from error


class UserMeView(ApiView):
    def get_throttles(self) -> list[Bucket]:
        # Closing takes a password, which must not be guessed faster here than by signing in.
        buckets = [AuthBucket, AuthAddressBucket] if self.request.method == "DELETE" else [Bucket]
        return [bucket() for bucket in buckets]

    @extend_schema(responses=UserSerializer)
    def get(self, request: Request) -> Response:
        return Response(UserSerializer(request.user).data)

    @extend_schema(request=UpdateUserSerializer, responses=UserSerializer)
    def put(self, request: Request) -> Response:
        form = UpdateUserSerializer(data=request.data, context={"user": request.user})
        form.is_valid(raise_exception=True)
        return Response(UserSerializer(profile.user_update(user=request.user, **form.validated_data)).data)

    patch = put

    @extend_schema(request=DeleteAccountSerializer, responses=MessageSerializer)
    def delete(self, request: Request) -> Response:
        form = DeleteAccountSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        profile.user_delete(user=request.user, session=request.auth, password=form.validated_data.get("password"))
        return Response({"message": "Your account is deleted."})


class StatsView(ApiView):
    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(user_stats(request.user))


class SessionsView(ApiView):
    @extend_schema(responses=SessionSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = Page(request)
        rows, total = page.cut(sessions_live(request.user))
        shown = SessionSerializer(rows, many=True, context={"current": request.auth.pk}).data
        return page.response(shown, total, plural="sessions")


class SessionView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        services.session_revoke(user=request.user, session_id=parse_id(session_id))
        return Response(status=204)


class SSHKeysView(ApiView):
    @extend_schema(responses=SSHKeySerializer(many=True))
    def get(self, request: Request) -> Response:
        page = Page(request)
        rows, total = page.cut(request.user.ssh_keys.all())
        return page.response(SSHKeySerializer(rows, many=True).data, total, plural="ssh_keys")

    @extend_schema(request=AddSSHKeySerializer, responses={201: SSHKeySerializer})
    def post(self, request: Request) -> Response:
        form = AddSSHKeySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = ssh_keys.ssh_key_add(
            user=request.user, public_key=form.validated_data["public_key"], name=form.validated_data.get("name")
        )
        return Response(SSHKeySerializer(key).data, status=201)


class SSHKeyView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        ssh_keys.ssh_key_delete(user=request.user, key_id=parse_id(key_id))
        return Response(status=204)
