"""The files of recordings: while it is written, one on this host; from then on, one in Django's storage.

A storage such as S3 takes files whole, so a recording is put there once, when it ends. Until then it lies below
settings.RECORDING_WORK_DIR, locked by the process that writes it. One that isn't locked was left by a process that
died, and what is in it can still be kept. All of this is for threads: disks and storages are slow.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from terminals import asciicast

FOLDER = "recordings"  # in the storage
SUFFIX = ".cast"


@dataclass(frozen=True, slots=True)
class Kept:
    """What has been put into the storage; `name` is the storage's for it."""

    name: str
    size_bytes: int
    duration_s: float


def _work_path(recording_id: UUID) -> Path:
    return Path(settings.RECORDING_WORK_DIR) / f"{recording_id}{SUFFIX}"


def work_begin(recording_id: UUID) -> FileIO:
    """A new file, locked until it is closed, which nobody else on this host may read. Raises: OSError."""
    path = _work_path(recording_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return FileIO(descriptor, "w")  # raw: what is written is on its way to the disk, and closing has nothing to do


def work_forget(recording_id: UUID) -> None:
    _work_path(recording_id).unlink(missing_ok=True)


def work_left_behind() -> Iterator[UUID]:
    """Recordings on this host that no process writes any more, each locked while the caller looks at it."""
    for path in Path(settings.RECORDING_WORK_DIR).glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError, BlockingIOError, ValueError), path.open("rb") as file:
            recording_id = UUID(path.stem)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield recording_id


def publish(recording_id: UUID) -> Kept:
    """Put a recording that has ended into the storage, up to its last whole line.

    Raises: OSError; whatever the storage raises.
    """
    with _work_path(recording_id).open("r+b") as file:
        size_bytes, last_line = 0, b"{}"
        for line in file:
            if not line.endswith(b"\n"):
                break  # the disk was full, or the process killed, in the middle of it
            size_bytes, last_line = size_bytes + len(line), line
        file.truncate(size_bytes)
        file.seek(0)
        name = default_storage.save(f"{FOLDER}/{recording_id}{SUFFIX}", File(file))
    return Kept(name, size_bytes, asciicast.duration_s(last_line))


def stored_delete(name: str) -> None:
    """One that isn't there is no error. Raises: whatever the storage raises."""
    default_storage.delete(name)


def stored() -> Iterator[tuple[UUID, str]]:
    """Every file in the storage that has the name of a recording: its id, and the name."""
    try:
        _, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:  # nothing has been recorded yet
        return
    for name in names:
        with suppress(ValueError):
            yield UUID(name[:36]), f"{FOLDER}/{name}"  # a storage may add to a name that was taken
