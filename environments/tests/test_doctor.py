"""The doctor's questions to the cloud: what a token lacks, a wrong clock, and that nothing changes by asking."""

from __future__ import annotations

import time
from typing import Any

import pytest

from devpocket.doctor import Problem
from devpocket.testing.localcloud import TOKEN, LocalCloud
from environments import doctor
from environments.cloud import client


@pytest.fixture
def asked(localcloud: LocalCloud, settings: Any) -> LocalCloud:
    """Directly: some of what is asked is no request by the specification, so that it can't take effect."""
    settings.DO_API_URL, settings.DO_TOKEN = localcloud.url, TOKEN
    localcloud.behave()
    return localcloud


def everything(cloud: LocalCloud) -> list[int]:
    kinds = ("droplets", "volumes", "snapshots", "tags", "firewalls", "images")
    return [cloud.ask("GET", f"/v2/{kind}")["meta"]["total"] for kind in kinds]


def test_all_scopes_are_asked_for_and_nothing_changes(asked: LocalCloud) -> None:
    asked.ask("POST", "/v2/volumes", {"name": "doctor", "size_gigabytes": 1, "region": "nyc3"})
    before = everything(asked)
    assert doctor.scopes().startswith(f"{len(doctor.SCOPES)} asked for, none refused")
    assert everything(asked) == before


def test_missing_scopes_are_named(asked: LocalCloud) -> None:
    asked.misbehave("status", status=403, method="POST", path="/v2/volumes$")
    asked.misbehave("status", status=403, method="GET", path="/v2/sizes$")
    with pytest.raises(Problem, match="lacks sizes:read, block_storage:create"):
        doctor.scopes()
    asked.behave()


def test_a_token_that_is_none(asked: LocalCloud, settings: Any) -> None:
    assert "takes the token" in doctor.token()
    settings.DO_TOKEN = "hunter2"
    with pytest.raises(Problem, match="refuses the token: GET /v2/account: 401"):
        doctor.token()


@pytest.mark.parametrize(("ahead_s", "said"), [(36_000, r"3[56]\d\d\d s ahead of"), (-36_000, r"3[56]\d\d\d s behind")])
def test_a_wrong_clock(asked: LocalCloud, monkeypatch: pytest.MonkeyPatch, ahead_s: int, said: str) -> None:
    shifted = type("Shifted", (), {"time": lambda: time.time() + ahead_s, "monotonic": time.monotonic})
    monkeypatch.setattr(client, "time", shifted)
    with pytest.raises(Problem, match=said):
        doctor.clock()
