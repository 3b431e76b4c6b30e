"""Starting a droplet's processes, and finding and ending all of them.

Every process of a droplet has DEVPOCKET_ROOT=<its disk> in its environment, and hands it on to its children. On
Linux that is how even daemons are found (a tmux server leaves its session and its parent). A process that cleans its
environment on purpose, and whose session has no living leader of ours, is not found.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT_VARIABLE = "DEVPOCKET_ROOT"
KILL_LIMIT_S = 2.0  # how long killed processes may take to be gone
HANG_UP_AFTER_S = 0.2  # not at once: of two waiting signals SIGHUP, being 1, would be taken before SIGTERM
_PROC = Path("/proc")


class Child:
    """A process that we started: told of its end once, and reaped then. It leads a session of its own.

    `returncode` is None until it ended; negative values are signals, as with subprocess.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: int,
        stdout: int,
        stderr: int,
        on_exit: Callable[["Child"], None],
    ) -> None:
        """Start it; raises OSError where that fails."""
        # Without a preexec function this is a vfork: about a millisecond, whatever our own size.
        self._popen = subprocess.Popen(  # noqa: S603  running what the droplet's user says is the purpose
            argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        self.pid = self._popen.pid
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not on Linux, or before 5.3: a thread has to wait
            self._pidfd = -1
            self._waiting = self._loop.run_in_executor(None, self._popen.wait)
            self._waiting.add_done_callback(lambda _: self._reaped())
        else:
            self._loop.add_reader(self._pidfd, self._readable)

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the signal's number."""
        return self._popen.returncode

    def _readable(self) -> None:
        if self._popen.poll() is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._reaped()

    def _reaped(self) -> None:
        self._ended.set()
        self._on_exit(self)

    def signal(self, number: int) -> None:
        """Send a signal to its process group, if it still runs."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def wait(self) -> None:
        """Wait until it has ended and is reaped."""
        await self._ended.wait()


def find_pids(root: Path, *, below: bool = False, sessions: Iterable[int] = ()) -> list[int]:
    """The processes whose DEVPOCKET_ROOT is `root` (or lies `below` it), or which are in one of `sessions`.

    Takes some 20 microseconds for each process of the host: call it in a thread.
    """
    wanted = f"\0{ROOT_VARIABLE}={root}{'/' if below else chr(0)}".encode()
    of_session = set(sessions)
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            # "pid (name) state ppid pgrp session ...": the name may hold anything, so look behind its end.
            state, _, _, session = (entry / "stat").read_text("utf-8", "replace").rpartition(") ")[2].split()[:4]
        except (OSError, ValueError):  # gone meanwhile, or somebody else's
            continue
        if state != "Z" and (wanted in b"\0" + environ + b"\0" or int(session) in of_session):
            found.append(int(entry.name))
    return found


def _send(pids: Iterable[int], *numbers: int) -> None:
    for pid in pids:
        for number in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def end_all(root: Path, *, grace_s: float = 0.0, below: bool = False, sessions: Iterable[int] = ()) -> None:
    """End every process of a droplet (or, with `below`, of all under `root`). Blocks: call it in a thread.

    With a grace they get SIGTERM first, then SIGHUP (interactive shells end on that only), and SIGKILL after it.
    """
    sessions = tuple(sessions)
    soft_until = time.monotonic() + min(HANG_UP_AFTER_S, grace_s / 2)
    hard_at = time.monotonic() + grace_s
    give_up_at = hard_at + KILL_LIMIT_S
    pids = find_pids(root, below=below, sessions=sessions)
    if grace_s:
        _send(pids, signal.SIGTERM, signal.SIGCONT)
    # Again and again, since a process may have forked while we looked.
    while pids and (now := time.monotonic()) < give_up_at:
        if now >= hard_at:
            _send(pids, signal.SIGKILL)
        elif now >= soft_until:
            _send(pids, signal.SIGHUP)
            soft_until = hard_at  # once is enough
        time.sleep(0.01)
        pids = find_pids(root, below=below, sessions=sessions)


def end_tmux(tmux_dir: Path) -> None:
    """End tmux servers by their sockets, for systems without /proc. Blocks."""
    tmux = shutil.which("tmux")
    if tmux is None or _PROC.is_dir():
        return
    for socket in tmux_dir.glob("tmux-*/*"):
        subprocess.run([tmux, "-S", socket, "kill-server"], capture_output=True, timeout=2, check=False)  # noqa: S603
