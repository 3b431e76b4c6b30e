"""The operator's browser."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", "boss@example.org")


@pytest.fixture
def desk(boss: User) -> Client:
    client = Client()
    client.force_login(boss, backend="accounts.backends.LockoutBackend")
    return client
