"""The database's engine, on a PostgreSQL of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from devpocket.testing import stores


@pytest.fixture
def postgres() -> Iterator[stores.Postgres]:
    if stores.missing():
        pytest.skip(f"needs {', '.join(stores.missing())}")
    with stores.Postgres.running() as store:
        yield store


@pytest.fixture
def database(postgres: stores.Postgres, django_db_blocker: Any) -> Iterator[Any]:
    """Of one connection, pooled as in settings.py."""
    place = {"NAME": "postgres", "USER": "devpocket", "HOST": "127.0.0.1", "PORT": postgres.port}
    pool = {"min_size": 1, "max_size": 1, "timeout": 3, "reconnect_timeout": 5}
    handler = ConnectionHandler(
        {"default": {}, "own": {"ENGINE": "devpocket.postgresql", **place, "OPTIONS": {"pool": pool}}}
    )
    with django_db_blocker.unblock():
        yield handler["own"]
        handler["own"].close()
        handler["own"].close_pool()


def backend_of_a_request(database: Any) -> int:
    """Which of PostgreSQL's processes answered."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (number,) = cursor.fetchone()
    database.close()  # to the pool
    return int(number)


def test_a_connection_serves_one_request_after_another(database: Any) -> None:
    assert backend_of_a_request(database) == backend_of_a_request(database)


def test_a_connection_from_before_the_databases_restart_serves_nobody(database: Any, postgres: stores.Postgres) -> None:
    before = backend_of_a_request(database)
    postgres.kill()
    postgres.start()
    assert backend_of_a_request(database) != before
