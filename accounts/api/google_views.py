"""Signing in with Google over HTTP (contract 3.3)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import google
from accounts.api.serializers import TokenPairSerializer, token_pair
from accounts.api.views import OpenView, device_of
from accounts.errors import GoogleNotConfigured, GoogleTokenInvalid, InvalidCredentials
from devpocket.fields import TextField
from devpocket.openapi import refuses


class GoogleSerializer(serializers.Serializer):
    """`token` is another spelling of `id_token`. An `access_token` is accepted and ignored."""

    id_token = TextField(max_length=4096)  # Google's have 1 to 2 KiB
    token = TextField(required=False, allow_null=True, allow_blank=True)
    access_token = serializers.JSONField(required=False, allow_null=True)

    class Meta:
        one_of = ("id_token", "token")

    def to_internal_value(self, data: dict[str, Any]) -> dict[str, Any]:
        given = next((data[name] for name in self.Meta.one_of if data.get(name) is not None), None)
        return dict(super().to_internal_value(data if given is None else {**data, "id_token": given}))


class GoogleSignInSerializer(TokenPairSerializer):
    created = serializers.BooleanField(help_text="The account is new.")

    class Meta:
        ref_name = "GoogleSignIn"


class GoogleView(OpenView):
    @refuses(GoogleTokenInvalid, InvalidCredentials, GoogleNotConfigured)
    @extend_schema(request=GoogleSerializer, responses=GoogleSignInSerializer)
    def post(self, request: Request) -> Response:
        """Sign in with Google's ID token; an account is created where there is none."""
        google.check_configured()  # before the body: no other body would be better
        form = GoogleSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sign_in, created = google.google_sign_in(id_token=form.validated_data["id_token"], device=device_of(request))
        return Response({**token_pair(sign_in), "created": created})
