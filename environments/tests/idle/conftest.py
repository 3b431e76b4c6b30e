"""Machines that nobody uses: an environment that came up at the test's own time."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.services import SignIn
from environments.models import Environment
from environments.tests.homes import home_of
from environments.tests.idle.looking import MINUTES, START, Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def limited(settings: Any) -> None:
    """Every plan stops what is idle for an hour."""
    settings.PLANS = {plan: {**limits, "idle_stop_minutes": MINUTES} for plan, limits in settings.PLANS.items()}


@pytest.fixture
def home(ann: SignIn, limited: None, clock: Clock) -> Environment:
    return home_of(ann.user, phase_changed_at=START, created_at=START)
