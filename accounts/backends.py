"""How operators sign in to the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.errors import AccountLocked, InvalidCredentials
from accounts.models import User
from accounts.services import password_proven, user_unlock


class LockoutBackend(ModelBackend):
    """Wrong passwords count as they do over the API, in the same counter: the admin is no way around the lock."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        try:
            return password_proven(username, password, then=_unlocked)
        except (InvalidCredentials, AccountLocked):
            return None


def _unlocked(user: User) -> User:
    user_unlock(user=user)
    return user
