"""Copying and removing directory trees: disks, volumes, snapshots. Everything here blocks, but for `copied`.

A copy is all or nothing: it grows under a hidden name and is renamed when it is whole.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PARTIAL = ".partial-"  # what the names of unfinished copies begin with


class Stopped(Exception):
    """The copy was not wanted any more."""


ASIDE = ".under-mount"


def aside(point: Path) -> Path:
    """Where a mount point's own directory waits while a volume is mounted over it."""
    return point.with_name(f".{point.name}{ASIDE}")


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, also what is write-protected (Go's module cache is). Links are not followed."""
    shutil.rmtree(path, ignore_errors=True)
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for directory, names, _ in os.walk(path):
        for name in names:
            below = os.path.join(directory, name)
            if not os.path.islink(below):
                os.chmod(below, 0o700)
    shutil.rmtree(path, ignore_errors=True)


@dataclass
class Copy:
    """One copy of a tree, as a snapshot takes it.

    Volumes mounted in it (links to directories in `volumes`) are left out: what they hide takes their place. Links
    with the absolute path of something in the source lead to the same thing in the copy. What vanishes meanwhile is
    left out, and so are sockets, which nobody would answer.
    """

    source: Path
    target: Path
    volumes: Path
    leave_out: frozenset[str] = frozenset()  # names at the top that are made, but stay empty
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Copy; returns the bytes in files.

        Raises:
            Stopped: `stop` was set.
            OSError: the target can't be written.
        """
        partial = self.target.with_name(f"{PARTIAL}{self.target.name}")
        remove_tree(partial)
        try:
            size = self._fill(partial)
            remove_tree(self.target)
            partial.rename(self.target)
        except BaseException:
            remove_tree(partial)
            raise
        return size

    def _fill(self, partial: Path) -> int:
        size = 0
        made: list[tuple[Path, os.stat_result]] = []
        todo = [(self.source, partial)]
        with contextlib.ExitStack() as opened:
            while todo:
                source, target = todo.pop()
                target.mkdir(mode=0o700)
                with contextlib.suppress(FileNotFoundError):
                    made.append((target, source.lstat()))
                    opened.enter_context(_readable(source))
                for name, kind, original in self._entries(source):
                    if self.stop.is_set():
                        raise Stopped(str(self.target))
                    if stat.S_ISDIR(kind):
                        todo.append((original, target / name))
                    else:
                        with contextlib.suppress(FileNotFoundError):
                            size += self._copy_file(kind, original, target / name)
        # Directories get their modes and times last: one may be write-protected.
        for target, status in reversed(made):
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
            target.chmod(stat.S_IMODE(status.st_mode))
        return size

    def _copy_file(self, kind: int, original: Path, copy: Path) -> int:
        if stat.S_ISLNK(kind):
            copy.symlink_to(self._moved(os.readlink(original)))
        elif stat.S_ISFIFO(kind):
            os.mkfifo(copy)
        elif stat.S_ISREG(kind):
            with _readable(original) as mode:
                shutil.copy2(original, copy, follow_symlinks=False)
            status = copy.lstat()
            if stat.S_ISREG(status.st_mode):  # not if it has just been made a link
                copy.chmod(mode)
            return status.st_size
        return 0

    def _entries(self, directory: Path) -> Iterator[tuple[str, int, Path]]:
        """Name, kind and whereabouts of everything that belongs into the copy of a directory."""
        if directory.parent == self.source and directory.name in self.leave_out:
            return
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return
        for name in names:
            path = directory / name
            try:
                kind = path.lstat().st_mode
                is_mounted = stat.S_ISLNK(kind) and path.readlink().parent == self.volumes
            except FileNotFoundError:
                continue
            if is_mounted:
                yield name, stat.S_IFDIR, aside(path)
            elif not (name.startswith(".") and name.endswith(ASIDE)):
                yield name, kind, path

    def _moved(self, destination: str) -> str:
        old, new = str(self.source), str(self.target)
        return new + destination[len(old) :] if destination == old or destination.startswith(f"{old}/") else destination


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[int]:
    """Let us read something of ours whose mode forbids it: a snapshot is taken below the file system.

    Gives the mode that it has otherwise.
    """
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    wanted = mode | (0o500 if stat.S_ISDIR(status.st_mode) else 0o400)
    if mode == wanted:
        yield mode
        return
    path.chmod(wanted)
    try:
        yield mode
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(mode)


async def copied(copy: Copy) -> int:
    """Run a copy in a thread; when cancelled, stop it and wait until nothing is left of it."""
    work = asyncio.create_task(asyncio.to_thread(copy.run))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        copy.stop.set()
        await asyncio.wait([work])
        raise
