"""Guest links into an environment's terminals."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.fields import TextField, WholeNumberField
from devpocket.openapi import paged
from devpocket.paging import Page
from environments.api.common import EnvironmentsViewSet, parse_id
from environments.selectors import get_environment
from terminals import shares
from terminals.models import Mode, TerminalShare
from terminals.tmux import SESSION_NAME

LIFE_S = 3600  # where the owner doesn't say


class SessionNameField(TextField):
    default_error_messages = {
        "invalid": "A session's name has 1 to 32 lower-case letters, digits and hyphens.",
    }

    def __init__(self, **options: object) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: object) -> str:
        name = super().to_internal_value(data)
        if not SESSION_NAME.match(name):
            self.fail("invalid")
        return name


class CreateShareSerializer(serializers.Serializer):
    mode = serializers.ChoiceField(Mode.choices, required=False, allow_null=True, help_text="`view` unless it is said.")
    expires_in = WholeNumberField(
        min_value=shares.LIFE_MIN_S,
        max_value=shares.LIFE_MAX_S,
        required=False,
        allow_null=True,
        help_text=f"Seconds; {LIFE_S} unless it is said.",
    )
    session = SessionNameField(
        required=False, allow_null=True, help_text="As in `?session=`; null: the environment's own."
    )


class ShareSerializer(serializers.Serializer):
    """`viewers`: sockets that are open by it now. `active`: it opens terminals."""

    id = serializers.UUIDField()
    environment_id = serializers.UUIDField()
    mode = serializers.ChoiceField(Mode.choices)
    session = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    opened_count = serializers.IntegerField()
    last_opened_at = serializers.DateTimeField(allow_null=True)
    viewers = serializers.IntegerField(source="viewers_now", default=0, read_only=True)
    active = serializers.SerializerMethodField()

    def get_session(self, share: TerminalShare) -> str | None:
        return share.session or None

    def get_active(self, share: TerminalShare) -> bool:
        return shares.is_active(share)


class CreatedShareSerializer(ShareSerializer):
    """With what is never shown again: the token, and the link that has it."""

    token = serializers.CharField()
    url = serializers.CharField()


class ShareViewSet(EnvironmentsViewSet):
    @paged("terminal_shares")
    @extend_schema(responses=ShareSerializer(many=True))
    def list(self, request: Request, pk: str) -> Response:
        """The environment's guest links, newest first; also those that ended in the last week."""
        rows = shares.shares_of(get_environment(parse_id(pk), owner_id=request.user.pk))
        page = Page(request)
        found, total = page.cut(rows)
        return page.response(list(ShareSerializer(found, many=True).data), total, plural="terminal_shares")

    @extend_schema(request=CreateShareSerializer, responses={201: CreatedShareSerializer})
    def create(self, request: Request, pk: str) -> Response:
        """Create a link for a guest, who needs no account. In every phase: it opens a terminal once there is one."""
        environment = get_environment(parse_id(pk), owner_id=request.user.pk)
        form = CreateShareSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        share, token = shares.share_create(
            environment=environment,
            owner=request.user,
            mode=Mode(asked.get("mode") or Mode.VIEW),
            expires_in_s=asked.get("expires_in") or LIFE_S,
            session=asked.get("session"),
        )
        shown = ShareSerializer(share).data
        return Response({**shown, "token": token, "url": shares.share_url(share, token)}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str, sid: str) -> Response:
        """End a guest link now, with the sockets that it opened."""
        shares.share_revoke(
            share_id=parse_id(sid), environment_id=parse_id(pk), owner_id=request.user.pk, actor_id=request.user.pk
        )
        return Response(status=204)
