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


class GoogleSerializer(serializers.Serializer):
    """`token` is another spelling of `id_token`. An `access_token` is accepted and ignored."""

    id_token = serializers.CharField(max_length=4096)  # Google's have 1 to 2 KiB

    def to_internal_value(self, data: dict[str, Any]) -> dict[str, Any]:
        given = next((data[name] for name in ("id_token", "token") if data.get(name) is not None), None)
        return dict(super().to_internal_value(data if given is None else {**data, "id_token": given}))


class GoogleSignInSerializer(TokenPairSerializer):
    created = serializers.BooleanField()


class GoogleView(OpenView):
    @extend_schema(request=GoogleSerializer, responses=GoogleSignInSerializer)
    def post(self, request: Request) -> Response:
        google.check_configured()  # before the body: no other body would be better
        form = GoogleSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sign_in, created = google.google_sign_in(id_token=form.validated_data["id_token"], device=device_of(request))
        return Response({**token_pair(sign_in), "created": created})
