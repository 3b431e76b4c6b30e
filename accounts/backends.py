"""How operators sign in to the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.errors import AccountLocked, InvalidCredentials
from accounts.models import User
from accounts.second_factor import code_proven, find_authenticator
from accounts.services import password_proven, user_unlock


class LockoutBackend(ModelBackend):
    """Wrong passwords count as they do over the API, in the same counter: the admin is no way around the lock."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        second_factor: str = "",
        **kwargs: Any,
    ) -> User | None:
        """`request.second_factor_proven` then is the authenticator whose code it was, None where none is set up."""

        def has_second_factor(user: User) -> bool:
            authenticator = find_authenticator(user)
            if authenticator is not None and not code_proven(user, second_factor):
                return False
            if request is not None:
                request.second_factor_proven = authenticator and authenticator.pk  # type: ignore[attr-defined]
            return True

        if username is None or password is None:
            return None
        try:
            return password_proven(username, password, then=_unlocked, also=has_second_factor)
        except (InvalidCredentials, AccountLocked):
            return None


def _unlocked(user: User) -> User:
    user_unlock(user=user)
    return user
