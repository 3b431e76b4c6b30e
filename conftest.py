"""Fixtures that many tests share: users, a signed-in client, and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.core.cache import cache
from django.db import connection
from rest_framework.test import APIClient

from accounts.hashers import QueuedArgon2PasswordHasher
from accounts.models import User
from accounts.services import Device, SignIn, user_register
from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.testing.wire_check import checked

PASSWORD = "Correct-Horse-7"

# Files that take long by themselves come first: each goes to one worker, and none may be left alone at the end.
LONG = (
    "devpocket/tests/web",
    "environments/tests/chaos",
    "devpocket/tests/test_api_check.py",
    *(f"terminals/tests/{name}" for name in ("test_first", "client", "endurance", "test_")),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG) if item.nodeid.startswith(name)), 99))


hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """PostgreSQL drops no database that somebody is connected to, be it a thread that has just ended its work."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Rate limits, slots and the catalogue live in the cache."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Password hashing at a price that hundreds of tests can pay."""
    for name, cost in (("time_cost", 1), ("memory_cost", 8), ("parallelism", 1)):
        monkeypatch.setattr(QueuedArgon2PasswordHasher, name, cost)


@pytest.fixture
def sign_up(db: None) -> Callable[..., SignIn]:
    """Register a user: sign_up("ann") gives their SignIn; keyword arguments become columns of the User."""

    def make(username: str, **columns: Any) -> SignIn:
        signed_in = user_register(
            username=username, email=f"{username}@example.org", password=PASSWORD, device=Device()
        )
        for name, value in columns.items():
            setattr(signed_in.user, name, value)
        signed_in.user.save()
        return signed_in

    return make


@pytest.fixture
def ann(sign_up: Callable[..., SignIn]) -> SignIn:
    return sign_up("ann", is_verified=True)


@pytest.fixture
def ben(sign_up: Callable[..., SignIn]) -> SignIn:
    return sign_up("ben", is_verified=True)


@pytest.fixture
def client_of() -> Callable[[SignIn], APIClient]:
    """A client that sends the user's access token."""

    def make(signed_in: SignIn) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_in.tokens.access}")
        return client

    return make


@pytest.fixture
def user_of() -> Callable[[SignIn], User]:
    return lambda signed_in: User.objects.get(pk=signed_in.user.pk)


@pytest.fixture(scope="session")
def localcloud(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[LocalCloud]:
    """A local cloud with fast boots, for the whole run; each test uses environments of its own."""
    with (
        LocalCloud.start(tmp_path_factory.mktemp("cloud")) as cloud,
        checked(cloud, tmp_path_factory.mktemp("wire"), worker_id),
    ):
        yield cloud


@pytest.fixture(scope="session")
def server(localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server process with a database of its own, on the local cloud."""
    with Server.start(localcloud.client_url, Path(tmp_path_factory.mktemp("server"))) as running:
        yield running
