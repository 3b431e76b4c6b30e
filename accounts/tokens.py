"""The two JWTs of a session (contract section 3.6), on SimpleJWT's token class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.errors import TokenExpired, TokenInvalid
from accounts.models import Session, User


class AccessToken(Token):
    token_type = "access_token"  # noqa: S105 -- the claim's value, no secret
    lifetime = timedelta(seconds=settings.ACCESS_TOKEN_SECONDS)


class RefreshJWT(Token):
    token_type = "refresh_token"  # noqa: S105
    lifetime = timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives. `access` and `refresh` are signed JWTs; the rest says when the refresh token ends."""

    access: str
    refresh: str
    refresh_jti: str
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says, its ids parsed."""

    user_id: UUID
    session_id: UUID
    jti: str


def issue_pair(session: Session, user: User) -> TokenPair:
    """A new access and refresh token of `session`. Stores nothing."""
    shared = {"sub": str(user.pk), "sid": str(session.pk), "auth_time": int(session.auth_time.timestamp())}
    access, refresh = AccessToken(), RefreshJWT()
    access.payload |= {**shared, "username": user.username, "email": user.email}
    refresh.payload |= shared
    expires_at = refresh.current_time + refresh.lifetime
    return TokenPair(str(access), str(refresh), refresh["jti"], expires_at)


def parse_token(kind: type[AccessToken] | type[RefreshJWT], raw: str) -> Claims:
    """Verify signature, algorithm, type and times of `raw`.

    Raises: TokenExpired, or TokenInvalid for whatever else is wrong with it.
    """
    try:
        token = kind(raw)  # type: ignore[arg-type]  # annotated as Token, takes the encoded text
        return Claims(UUID(token["sub"]), UUID(token["sid"]), str(token["jti"]))
    except ExpiredTokenError as error:
        raise TokenExpired("Your session has expired. Please sign in again.") from error
    except (TokenError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise TokenInvalid("Your sign-in is not valid. Please sign in again.") from error
