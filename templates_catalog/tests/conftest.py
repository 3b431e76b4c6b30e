"""Who reads and who writes the catalogue."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from accounts.services import SignIn


@pytest.fixture
def boss(sign_up: Callable[..., SignIn]) -> SignIn:
    return sign_up("boss", is_staff=True)


@pytest.fixture
def admin_api(boss: SignIn, client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(boss)


@pytest.fixture
def user_api(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(ann)
