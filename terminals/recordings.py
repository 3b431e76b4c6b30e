"""The rows of recordings: what is recorded, for whom, and how long it is kept (docs/api.md, Recordings)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import User
from devpocket.errors import NotFound, ServiceUnavailable
from environments.errors import InvalidState
from terminals import recording_files
from terminals.models import Recording
from terminals.recording_files import Kept

log = structlog.get_logger(__name__)

State = Recording.State
DEAD_AFTER = timedelta(minutes=2)  # a process that hasn't said for so long that it writes one has died
SWEEP_ROWS = 500
RETRY_AFTER_S = 30


# --- Reads


def recordings_of(owner_id: UUID) -> QuerySet[Recording]:
    """Newest first."""
    return Recording.objects.filter(owner_id=owner_id).order_by("-started_at", "-pk")


def get_recording(recording_id: UUID, *, owner_id: UUID) -> Recording:
    """With its `environment_slug`, None where the environment's row is gone. Raises: NotFound."""
    rows = recordings_of(owner_id).annotate(environment_slug=F("environment__slug"))
    recording = rows.filter(pk=recording_id).first()
    if recording is None:
        raise NotFound("There is no such recording.")
    return recording


def expires_at(recording: Recording) -> datetime | None:
    """When it is deleted for its age; None while it is recorded."""
    return recording.ended_at and recording.ended_at + timedelta(days=settings.RECORDING_DAYS)


def recording_open(recording: Recording) -> tuple[File, int]:
    """Its file, to be closed by the caller, and its size in bytes.

    Raises: InvalidState: it isn't in the storage, yet or ever; NotFound: the storage has lost it; ServiceUnavailable.
    """
    if recording.state == State.RECORDING:
        raise InvalidState("This terminal is still being recorded.", state=recording.state)
    if not recording.file:
        raise InvalidState("Nothing of this recording could be kept.", state=recording.state)
    try:
        file = recording.file.open("rb")
        return file, file.size
    except FileNotFoundError as error:
        log.error("recording_file_missing", recording=str(recording.pk))
        raise NotFound("The file of this recording is gone.") from error
    except Exception as error:  # each storage has errors of its own
        log.exception("recording_storage_failed", recording=str(recording.pk))
        raise ServiceUnavailable(
            "Recordings can't be read right now. Please try again.", retry_after_s=RETRY_AFTER_S
        ) from error


# --- The life of one that is being written


@transaction.atomic
def recording_create(
    *,
    recording_id: UUID,
    owner_id: UUID,
    environment_id: UUID,
    environment_name: str,
    session: str,
    cols: int,
    rows: int,
) -> Recording | None:
    """Write the row of a recording that begins; of the owner's others the oldest go, where there are too many.

    None: the account was closed meanwhile. `session`: its name, empty for the environment's own.
    """
    owner = User.objects.select_for_update(no_key=True).get(pk=owner_id)
    if not owner.is_active:  # nobody would ever delete it
        return None
    recording = Recording.objects.create(
        id=recording_id,
        owner=owner,
        environment_id=environment_id,
        environment_name=environment_name,
        session=session,
        cols=cols,
        rows=rows,
    )
    newest = recordings_of(owner_id).values_list("pk", flat=True)[: settings.RECORDINGS_MAX_PER_USER]
    recordings_delete(
        Recording.objects.filter(owner_id=owner_id).exclude(state=State.RECORDING).exclude(pk__in=[*newest])
    )
    return recording


def _unfinished(recording_id: UUID) -> QuerySet[Recording]:
    """Also one that was taken for dead: its process may have been asleep, or without its database."""
    return Recording.objects.filter(pk=recording_id, state__in=(State.RECORDING, State.BROKEN), file="")


def recording_renew(*, recording_id: UUID, size_bytes: int, duration_s: float) -> bool:
    """Its process still writes it. False: nobody wants it any more."""
    changes = {"size_bytes": size_bytes, "duration_s": duration_s, "seen_at": timezone.now(), "ended_at": None}
    return bool(_unfinished(recording_id).update(state=State.RECORDING, **changes))


def recording_end(*, recording_id: UUID, state: State, kept: Kept | None) -> bool:
    """It isn't written any more. `kept` None: nothing of it is in the storage.

    False: nobody wants it any more, and who has put it into the storage deletes it there.
    """
    file = {} if kept is None else {"file": kept.name, "size_bytes": kept.size_bytes, "duration_s": kept.duration_s}
    return bool(_unfinished(recording_id).update(state=state, ended_at=timezone.now(), **file))


# --- Deleting


@transaction.atomic
def recordings_delete(rows: QuerySet[Recording]) -> None:
    """The rows, and once that is certain their files. Those that are being written end when their process renews them.

    A file that can't be deleted now is found by `recording_orphans_delete`.
    """
    found = dict(rows.select_for_update().values_list("pk", "file"))
    Recording.objects.filter(pk__in=found).delete()
    for name in filter(None, found.values()):
        transaction.on_commit(partial(_file_delete, name), robust=True)


def _file_delete(name: str) -> None:
    try:
        recording_files.stored_delete(name)
    except Exception:  # each storage has errors of its own
        log.exception("recording_file_left", file=name)


def recording_delete(*, recording_id: UUID, owner_id: UUID) -> None:
    """With its file. One that is being written ends within half a minute, and nothing of it is kept.

    Raises: NotFound.
    """
    get_recording(recording_id, owner_id=owner_id)
    recordings_delete(Recording.objects.filter(pk=recording_id))


def recordings_delete_all(*, user_id: UUID) -> None:
    """A closed account's (settings.ACCOUNT_CLOSERS)."""
    recordings_delete(Recording.objects.filter(owner_id=user_id))


# --- Upkeep


def recordings_prune() -> None:
    """Delete what is too old, and say which were cut off; what this host has of these is kept after all."""
    oldest = timezone.now() - timedelta(days=settings.RECORDING_DAYS)
    recordings_delete(Recording.objects.filter(started_at__lt=oldest, ended_at__lt=oldest))
    dead = Recording.objects.filter(state=State.RECORDING, seen_at__lt=timezone.now() - DEAD_AFTER)
    if broken := dead.update(state=State.BROKEN, ended_at=timezone.now()):
        log.warning("recordings_broken", count=broken)
    for recording_id in recording_files.work_left_behind():
        try:
            _left_behind_keep(recording_id)
        except Exception:  # the storage is away, say: the next time, then
            log.exception("recording_not_kept", recording=str(recording_id))


def _left_behind_keep(recording_id: UUID) -> None:
    if _unfinished(recording_id).exists():
        kept = recording_files.publish(recording_id)
        if recording_end(recording_id=recording_id, state=State.BROKEN, kept=kept):
            log.info("recording_kept", recording=str(recording_id), size_bytes=kept.size_bytes)
        else:
            recording_files.stored_delete(kept.name)
    recording_files.work_forget(recording_id)


def recording_orphans_delete() -> None:
    """Delete files in the storage that belong to no row: what could not be deleted with it, or was put there twice."""
    files = recording_files.stored()
    while batch := list(islice(files, SWEEP_ROWS)):
        ids = {recording_id for recording_id, _ in batch}
        known = dict(Recording.objects.filter(pk__in=ids).values_list("pk", "file"))
        for recording_id, name in batch:
            # A row without a file: it may be on its way right now.
            if recording_id not in known or known[recording_id] not in ("", name):
                _file_delete(name)
                log.info("recording_orphan_deleted", file=name)
