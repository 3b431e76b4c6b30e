"""The environments' WebSocket: the real consumer on the real database and channel layer, without any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.services import SignIn
from accounts.tests.rows import environment
from environments.models import Environment
from terminals import environments_consumer, slots
from terminals.tests.consumer.environments.listening import ListSocket


@pytest.fixture
def home(transactional_db: None, ann: SignIn) -> Environment:
    """Ann's, running and all set up; nothing moves in it by itself."""
    return environment(ann, installation_completed=True, droplet_id=1, next_step_at=None)


@pytest.fixture
def at(layer: Any, home: Environment, ann: SignIn) -> Iterator[Callable[..., Any]]:
    """at(): Ann's socket, served. Afterwards none is counted as open, and none of her places is taken."""
    yield lambda query="", **options: ListSocket(options.pop("token", ann.tokens.access), query, **options).served()
    assert environments_consumer._open_here == set()
    for owner in (f"environments.{ann.user.pk}", str(ann.user.pk)):
        everybody = range(django_settings.WS_CONNECTIONS_PER_USER)
        assert all(slots.slot_take(owner, f"probe-{number}") for number in everybody)
