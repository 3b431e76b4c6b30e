"""How long recordings are kept, and what is left of them: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import profile
from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from environments import upkeep
from environments.models import Environment
from terminals import recording_files, recordings
from terminals.models import Recording
from terminals.tests.recordings.casts import read_cast, storage

pytestmark = pytest.mark.django_db(transaction=True)

State = Recording.State
Recorded = Callable[..., Recording]
DAY = timedelta(days=1)
BEGUN = b'{"version": 2, "width": 80, "height": 24, "timestamp": 0, "title": "Home"}\n[1.5, "o", "said"]\n'


def stored(places: Path) -> set[str]:
    return {path.name for path in (places / "media").rglob("*") if path.is_file()}


def name_of(row: Recording) -> str:
    return Path(row.file.name).name


def begin(owner: SignIn, home: Environment) -> Recording:
    row = recordings.recording_create(
        recording_id=uuid.uuid4(),
        owner_id=owner.user.pk,
        environment_id=home.pk,
        environment_name=home.name,
        session="",
        cols=80,
        rows=24,
    )
    assert row is not None
    return row


# --- Age and number


def test_what_is_too_old_goes_with_its_file(recorded: Recorded, places: Path, settings: Any) -> None:
    settings.RECORDING_DAYS = 7
    kept = recorded(ago=6.9 * DAY)
    late = recorded(ago=6.9 * DAY, started_at=timezone.now() - 20 * DAY)  # it went on for long
    recorded(ago=7.1 * DAY)
    recorded(ago=7.1 * DAY, state=State.BROKEN, text=None)
    recordings.recordings_prune()
    assert set(Recording.objects.all()) == {kept, late}
    assert stored(places) == {name_of(kept), name_of(late)}
    recordings.recordings_prune()
    assert Recording.objects.count() == 2


def test_one_that_is_recorded_for_months_stays(recorded: Recorded, settings: Any) -> None:
    settings.RECORDING_DAYS = 7
    row = recorded(text=None, state=State.RECORDING, started_at=timezone.now() - 60 * DAY, ended_at=None)
    recordings.recordings_prune()
    row.refresh_from_db()
    assert row.state == State.RECORDING
    assert recordings.expires_at(row) is None


def test_of_too_many_the_oldest_go_when_another_begins(
    ann: SignIn, ben: SignIn, home: Environment, recorded: Recorded, places: Path, settings: Any
) -> None:
    settings.RECORDINGS_MAX_PER_USER = 3
    live = recorded(text=None, ago=9 * DAY, state=State.RECORDING, ended_at=None)
    rows = [recorded(ago=days * DAY) for days in (4, 3, 2, 1)]
    bens = recorded(ago=8 * DAY, owner=ben.user)
    new = begin(ann, home)
    assert set(Recording.objects.all()) == {live, *rows[2:], new, bens}
    assert stored(places) == {name_of(row) for row in (*rows[2:], bens)}


# --- Cut off


@contextmanager
def recording_process(row_id: uuid.UUID, places: Path, data: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that has written so far, and goes on."""
    code = (
        "import sys, uuid; from django.conf import settings; settings.configure(RECORDING_WORK_DIR=sys.argv[1])\n"
        "from terminals import recording_files\n"
        "file = recording_files.work_begin(uuid.UUID(sys.argv[2]))\n"
        "file.write(sys.stdin.buffer.read()); print('written', flush=True)\n"
        "import signal; signal.pause()"
    )
    command = [sys.executable, "-c", code, str(places / "work"), str(row_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(data)
            process.stdin.close()
            assert process.stdout.readline() == b"written\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("tail", [b"", b'[2.0, "o", "cut of', b"\0" * 4096])
def test_what_a_killed_process_has_written_is_kept(tail: bytes, ann: SignIn, home: Environment, places: Path) -> None:
    row = begin(ann, home)
    with recording_process(row.pk, places, BEGUN + tail) as process:
        recordings.recordings_prune()  # its process lives
        row.refresh_from_db()
        assert (row.state, row.file.name) == (State.RECORDING, "")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        recordings.recordings_prune()
    row.refresh_from_db()
    assert (row.state, row.duration_s, row.size_bytes) == (State.BROKEN, 1.5, len(BEGUN))
    with row.file.open() as file:
        assert read_cast(file.read()).text == "said"
    assert os.listdir(places / "work") == []


def test_one_whose_process_says_nothing_is_broken(recorded: Recorded) -> None:
    minutes = {"text": None, "state": State.RECORDING, "ended_at": None}
    dead, alive = (recorded(ago=timedelta(minutes=ago), **minutes) for ago in (2.1, 1.9))
    recordings.recordings_prune()
    for row, state in ((dead, State.BROKEN), (alive, State.RECORDING)):
        row.refresh_from_db()
        assert (row.state, row.ended_at is None) == (state, state == State.RECORDING)


def test_one_that_sleeps_is_left_alone_by_its_own_host(ann: SignIn, home: Environment, places: Path) -> None:
    row = begin(ann, home)
    Recording.objects.update(seen_at=timezone.now() - DAY)
    with recording_process(row.pk, places, BEGUN):
        recordings.recordings_prune()
        row.refresh_from_db()
        assert (row.state, row.file.name) == (State.BROKEN, "")
        assert recordings.recording_renew(recording_id=row.pk, size_bytes=5, duration_s=1)
        row.refresh_from_db()
        assert (row.state, row.ended_at, row.size_bytes) == (State.RECORDING, None, 5)


def test_what_no_row_wants_is_deleted_from_this_host(ann: SignIn, home: Environment, places: Path) -> None:
    row = begin(ann, home)
    for recording_id in (row.pk, uuid.uuid4()):
        file = recording_files.work_begin(recording_id)
        file.write(BEGUN)
        file.close()
    (places / "work" / "notes.cast").touch()
    recordings.recordings_delete_all(user_id=ann.user.pk)
    recordings.recordings_prune()
    assert os.listdir(places / "work") == ["notes.cast"]
    assert stored(places) == set()


# --- Deleting


def test_a_file_goes_only_once_its_row_is_gone(recorded: Recorded, places: Path) -> None:
    row = recorded()
    with transaction.atomic():
        recordings.recordings_delete(Recording.objects.all())
        assert stored(places) == {name_of(row)}
        transaction.set_rollback(True)
    assert stored(places) == {name_of(row)}
    assert Recording.objects.exists()
    recordings.recordings_delete(Recording.objects.all())
    assert stored(places) == set()
    assert not Recording.objects.exists()


def test_files_that_could_not_be_deleted_are_found_later(recorded: Recorded, places: Path, settings: Any) -> None:
    gone, kept = recorded(), recorded()
    names = (name_of(gone), name_of(kept))
    working, settings.STORAGES = settings.STORAGES, storage("AwayStorage")
    recordings.recordings_delete(Recording.objects.filter(pk=gone.pk))
    settings.STORAGES = working
    folder = places / "media" / "recordings"
    (folder / f"{kept.pk}_again.cast").touch()  # put there twice
    (folder / "notes.txt").touch()
    on_its_way = recorded(text=None, state=State.RECORDING, ended_at=None)
    (folder / f"{on_its_way.pk}.cast").touch()
    assert stored(places) >= set(names)
    recordings.recording_orphans_delete()
    assert stored(places) == {names[1], "notes.txt", f"{on_its_way.pk}.cast"}


def test_without_any_recording_there_is_nothing_to_do(places: Path) -> None:
    recordings.recordings_prune()
    recordings.recording_orphans_delete()
    assert list(places.iterdir()) == []


def test_closing_an_account_deletes_its_recordings_and_nobody_elses(
    ann: SignIn, ben: SignIn, recorded: Recorded, places: Path
) -> None:
    recorded()
    live = recorded(text=None, state=State.RECORDING, ended_at=None)
    bens = recorded(owner=ben.user)
    profile.user_delete(user=ann.user, session=ann.session, password=PASSWORD)
    assert list(Recording.objects.all()) == [bens]
    assert stored(places) == {name_of(bens)}
    assert not recordings.recording_renew(recording_id=live.pk, size_bytes=0, duration_s=0)


async def test_upkeep_does_it(recorded: Recorded) -> None:
    jobs = upkeep.all_jobs()
    assert set(upkeep.JOBS) < set(jobs)
    every_s, prune = jobs["recordings"]
    assert every_s <= 60
    await prune()
    await jobs["recording-orphans"][1]()


# --- For operators


def test_operators_see_what_there_is_but_not_what_is_in_it_and_delete_it(recorded: Recorded, places: Path) -> None:
    boss = User.objects.create_superuser("boss", "boss@example.org", PASSWORD)
    desk = Client()
    desk.force_login(boss, backend="accounts.backends.LockoutBackend")
    first, second = recorded("very secret"), recorded(state=State.LIMITED)
    changes = reverse("admin:terminals_recording_changelist")
    one = reverse("admin:terminals_recording_change", args=[first.pk])
    for url in (changes, f"{changes}?state__exact=limited", f"{changes}?q=home", one):
        page = desk.get(url)
        assert page.status_code == 200
        assert b"secret" not in page.content
        assert b".cast" not in page.content
    assert str(second.pk) in desk.get(f"{changes}?state__exact=limited").content.decode()
    desk.post(reverse("admin:terminals_recording_delete", args=[first.pk]), {"post": "yes"})
    assert stored(places) == {name_of(second)}
    chosen = {"action": "delete_selected", "_selected_action": [str(second.pk)], "post": "yes"}
    assert desk.post(f"{changes}?q=home", chosen).status_code == 302
    assert stored(places) == set()
    assert not Recording.objects.exists()
    assert LogEntry.objects.filter(user=boss).count() == 2


def test_whose_rights_are_to_look_deletes_nothing(ann: SignIn, recorded: Recorded) -> None:
    User.objects.update(is_staff=True)
    ann.user.user_permissions.add(Permission.objects.get(codename="view_recording"))
    desk = Client()
    desk.force_login(User.objects.get(pk=ann.user.pk), backend="accounts.backends.LockoutBackend")
    row = recorded()
    assert desk.get(reverse("admin:terminals_recording_changelist")).status_code == 200
    assert desk.post(reverse("admin:terminals_recording_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert Recording.objects.exists()
