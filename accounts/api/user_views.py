"""Users about themselves: profile, sessions, keys, and closing the account (contract section 4)."""

from __future__ import annotations

from uuid import UUID

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
    StatsSerializer,
    UpdateUserSerializer,
    UserSerializer,
    shown_user,
)
from accounts.errors import KeyTaken, ReauthenticationRequired, UsernameTaken
from accounts.selectors import sessions_live, user_stats
from devpocket.api import ApiView
from devpocket.errors import NotFound
from devpocket.openapi import paged, refuses
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
        """Who is signed in."""
        return Response(shown_user(request.user))

    @refuses(UsernameTaken)
    @extend_schema(request=UpdateUserSerializer, responses=UserSerializer)
    def put(self, request: Request) -> Response:
        """Change one's profile. What is left out stays as it is."""
        form = UpdateUserSerializer(data=request.data, context={"user": request.user})
        form.is_valid(raise_exception=True)
        return Response(shown_user(profile.user_update(user=request.user, **form.validated_data)))

    patch = put

    @refuses(ReauthenticationRequired)
    @extend_schema(request=DeleteAccountSerializer, responses={200: MessageSerializer})
    def delete(self, request: Request) -> Response:
        """Delete the account, with all machines and their data.

        With the password in the body, or within 15 minutes of signing in.
        """
        form = DeleteAccountSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        profile.user_delete(user=request.user, session=request.auth, password=form.validated_data.get("password"))
        return Response({"message": "Your account is deleted."})


class StatsView(ApiView):
    @extend_schema(responses=StatsSerializer)
    def get(self, request: Request) -> Response:
        """How much the caller has, and may have."""
        return Response(user_stats(request.user))


class SessionsView(ApiView):
    @paged("sessions")
    @extend_schema(responses=SessionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Where the caller is signed in."""
        page = Page(request)
        rows, total = page.cut(sessions_live(request.user))
        shown = SessionSerializer(rows, many=True, context={"current": request.auth.pk}).data
        return page.response(shown, total, plural="sessions")


class SessionView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        """End a sign-in. Its tokens are worth nothing from now on."""
        services.session_revoke(user=request.user, session_id=parse_id(session_id))
        return Response(status=204)


class SSHKeysView(ApiView):
    @paged("ssh_keys")
    @extend_schema(responses=SSHKeySerializer(many=True))
    def get(self, request: Request) -> Response:
        """The caller's own public keys."""
        page = Page(request)
        rows, total = page.cut(request.user.ssh_keys.all())
        return page.response(SSHKeySerializer(rows, many=True).data, total, plural="ssh_keys")

    @refuses(KeyTaken)
    @extend_schema(request=AddSSHKeySerializer, responses={201: SSHKeySerializer})
    def post(self, request: Request) -> Response:
        """Add a public key. It is let in to all the caller's machines, also those that run."""
        form = AddSSHKeySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = ssh_keys.ssh_key_add(
            user=request.user, public_key=form.validated_data["public_key"], name=form.validated_data.get("name")
        )
        return Response(SSHKeySerializer(key).data, status=201)


class SSHKeyView(ApiView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        """Take a key away. It is let in no more."""
        ssh_keys.ssh_key_delete(user=request.user, key_id=parse_id(key_id))
        return Response(status=204)
