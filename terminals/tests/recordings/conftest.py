"""Places of the test's own for recordings, and what records into them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.services import SignIn
from environments.models import Environment
from environments.tests.homes import home_of
from terminals import asciicast, recording_files
from terminals.models import Recording
from terminals.recorder import Recorder, recording_begin

Begin = Callable[..., Awaitable[Recorder]]


def left_in(places: Path) -> list[str]:
    """Every file below `places`."""
    return [str(path.relative_to(places)) for path in places.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def places(settings: Any, tmp_path: Path) -> Path:
    """`work` and `media` below it: where recordings are written, and where they are stored."""
    settings.RECORDING_WORK_DIR = tmp_path / "work"
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path


@pytest.fixture
def recorded(ann: SignIn, home: Environment) -> Callable[..., Recording]:
    """recorded(text="x", state=..., ago=timedelta()): one that ended so long ago, of Ann unless `owner` is another."""

    def make(text: str | None = "x", *, ago: timedelta = timedelta(), **columns: Any) -> Recording:
        at = timezone.now() - ago
        fields = {"owner": ann.user, "environment": home, "environment_name": home.name, "state": "complete"}
        times = {"started_at": at - timedelta(minutes=5), "ended_at": at, "seen_at": at}
        row = Recording.objects.create(**{**fields, **times, **columns})
        if text is not None:
            file = recording_files.work_begin(row.pk)
            file.write(asciicast.header(80, 24, timestamp=0, title="Home"))
            file.write(asciicast.Events(0.0).output(2.5, text.encode()))
            file.close()
            kept = recording_files.publish(row.pk)
            recording_files.work_forget(row.pk)
            row.file, row.size_bytes, row.duration_s = kept.name, kept.size_bytes, kept.duration_s
            row.save()
        return row

    return make


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user, slug="home-123456", name='Ann\'s "home" 🏠')


@pytest.fixture
def begin(ann: SignIn, home: Environment) -> Begin:
    """await begin(): a recorder of a terminal in Ann's home."""

    async def make(session: str = "", cols: int = 80, rows: int = 24) -> Recorder:
        recorder = await recording_begin(
            owner_id=ann.user.pk,
            environment_id=home.pk,
            environment_name=home.name,
            session=session,
            cols=cols,
            rows=rows,
        )
        assert recorder is not None
        return recorder

    return make
