"""What no environment owns at the cloud: found, reported, and deleted only by who may."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.services import SignIn
from devpocket.testing.localcloud import LocalCloud
from environments import cloudapi, reaper
from environments.budget import Priority
from environments.models import CloudReport, Environment
from environments.reaper import Thing, cloud_reap, orphans_among
from environments.tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "2026-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _everything_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "GRACE", timedelta(seconds=-60))


@pytest.fixture
def leftovers(cloud: LocalCloud) -> Callable[[uuid.UUID], None]:
    """leftovers(environment id): a droplet with a volume, which nobody owns any more."""

    def make(environment_id: uuid.UUID) -> None:
        tags = ["devpocket", f"dp-env-{environment_id}"]
        volume = cloud.ask(
            "POST",
            "/v2/volumes",
            {"name": f"dp-env-{environment_id}", "size_gigabytes": 1, "region": "nyc3", "tags": tags},
        )["volume"]
        body = {"name": "left", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "region": "nyc3", "tags": tags}
        cloud.ask("POST", "/v2/droplets", {**body, "volumes": [volume["id"]]})

    return make


def reap(**deletes: bool) -> list[dict[str, Any]]:
    wanted = {"deletes_known": False, "deletes_unknown": False, **deletes}
    report = cloud_reap(cloudapi.client(Priority.BACKGROUND), **wanted)
    assert report.error == ""
    return list(report.found)


def of(found: list[dict[str, Any]], environment_id: uuid.UUID) -> dict[str, dict[str, Any]]:
    return {orphan["kind"]: orphan for orphan in found if orphan["environment"] == str(environment_id)}


def gone_environment(create: Callable[..., Environment], owner: SignIn) -> Environment:
    row = create(owner)
    Environment.objects.filter(pk=row.pk).update(
        phase="terminated", desired_state="deleted", torn_down_at=timezone.now()
    )
    return row


def test_what_a_row_says_is_gone_is_deleted_by_the_hourly_run(
    ann: SignIn, create: Callable[..., Environment], cloud: LocalCloud, leftovers: Callable[[uuid.UUID], None]
) -> None:
    row = gone_environment(create, ann)
    leftovers(row.pk)
    dry = of(reap(), row.pk)
    assert {kind: orphan["deleted"] for kind, orphan in dry.items()} == {"droplet": False, "volume": False}
    first = of(reap(deletes_known=True), row.pk)
    assert first["droplet"]["deleted"]
    wait_until(lambda: reap(deletes_known=True) and cloud.volumes(row.tag), lambda volumes: volumes == [])
    assert cloud.droplets(row.tag) == []


def test_what_no_row_knows_is_only_reported_until_a_person_deletes_it(
    db: None, cloud: LocalCloud, leftovers: Callable[[uuid.UUID], None]
) -> None:
    stranger = uuid.uuid4()
    leftovers(stranger)
    found = of(reap(deletes_known=True), stranger)
    assert [orphan["deleted"] for orphan in found.values()] == [False, False]
    assert len(cloud.droplets(f"dp-env-{stranger}")) == 1
    told = io.StringIO()
    call_command("reap_cloud", stdout=told)
    assert str(stranger) in told.getvalue()
    assert "dry run" in told.getvalue()
    call_command("reap_cloud", delete=True, stdout=io.StringIO())
    assert cloud.droplets(f"dp-env-{stranger}") == []

    def volumes_left() -> list[Any]:
        call_command("reap_cloud", delete=True, stdout=io.StringIO())
        return cloud.volumes(f"dp-env-{stranger}")

    wait_until(volumes_left, lambda volumes: volumes == [])


def test_what_an_environment_owns_is_left_alone(ann: SignIn, create: Callable[..., Environment]) -> None:
    row = create(ann)
    Environment.objects.filter(pk=row.pk).update(
        droplet_id=7, volume_id="v", droplet_requested_at=timezone.now(), phase="running"
    )
    label = (row.tag,)
    mine = [Thing("droplet", "7", "a", OLD, label), Thing("volume", "v", row.tag, OLD, label)]
    assert orphans_among(mine) == []
    [second] = orphans_among([*mine, Thing("droplet", "8", "a", OLD, label)])
    assert (second.id, second.is_known) == ("8", False)
    [other_volume] = orphans_among([Thing("volume", "w", row.tag, OLD, label)])
    assert not other_volume.is_known  # an environment lives: nothing of it is deleted without a person
    [snapshot] = orphans_among([Thing("snapshot", "9", f"{row.tag}-abc", OLD, (f"{row.tag}-abc",))])
    assert (snapshot.kind, snapshot.is_known) == ("snapshot", False)


def test_what_may_just_be_coming_into_being_is_left_alone(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "GRACE", timedelta(minutes=15))
    young = timezone.now().isoformat().replace("+00:00", "Z")
    assert orphans_among([Thing("droplet", "1", "x", young, (f"dp-env-{uuid.uuid4()}",))]) == []


def test_a_cloud_that_fails_in_the_middle_is_in_the_report(cloud: LocalCloud, db: None) -> None:
    cloud.misbehave("status", status=503, method="GET", path="/v2/volumes$", count=0)  # others ask this cloud too
    report = cloud_reap(cloudapi.client(Priority.BACKGROUND), deletes_known=True, deletes_unknown=True)
    assert "503" in report.error
    assert CloudReport.objects.count() == 1
