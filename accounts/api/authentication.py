"""`Authorization: Bearer <access token>` for DRF."""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts.errors import TokenInvalid
from accounts.models import Session, User
from accounts.selectors import get_session_by_access_token


class AccessTokenAuthentication(BaseAuthentication):
    """request.user is the User, request.auth the live Session.

    Raises: TokenInvalid, TokenExpired. Without a Bearer header nobody is signed in, which the permission then refuses.
    """

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        scheme, _, raw = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            token = raw.strip().decode("ascii")
        except UnicodeDecodeError as error:
            raise TokenInvalid("Your sign-in is not valid. Please sign in again.") from error
        session = get_session_by_access_token(token)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"  # without it DRF answers 403 instead of 401 (contract T8)


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = AccessTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
