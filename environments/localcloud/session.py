"""One SSH session on a droplet: a shell, a command, or SFTP."""

import contextlib
import logging
import os
import re
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR
from asyncssh.stream import SSHServerStreamSession

from environments.localcloud import terminal
from environments.localcloud.pumps import Inflow, Outflow

if TYPE_CHECKING:
    from environments.localcloud.machine import Machine
    from environments.localcloud.processes import Child

log = logging.getLogger(__name__)

TermSize = tuple[int, int, int, int]
DEFAULT_SIZE: TermSize = (80, 24, 0, 0)
# What clients may set, as Debian's sshd_config has it, and the project's own.
ACCEPTED_VARIABLES = re.compile(r"LANG|LC_\w+|TERM|COLORTERM|DEVPOCKET_(?!ROOT$)\w+")


class DropletSession(asyncssh.SSHServerSession[bytes]):
    """A channel and the process behind it. Ends when both the process and its output have ended, as with sshd."""

    def __init__(self, machine: "Machine", username: str) -> None:
        self._machine, self._username = machine, username
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._sftp: SSHServerStreamSession[bytes] | None = None
        self._term: str | None = None
        self._size: TermSize = DEFAULT_SIZE
        self._modes: Mapping[int, int] = {}
        self._command: str | None = None
        self._child: Child | None = None
        self._master = -1
        self._inflow: Inflow | None = None
        self._outflows: list[Outflow] = []
        self._fds: list[int] = []  # ours to close when the channel is gone

    # ---- what is asked for ----

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: TermSize, term_modes: Mapping[int, int]) -> bool:
        self._term, self._modes = term_type, term_modes
        self._size = term_size if term_size[0] and term_size[1] else DEFAULT_SIZE
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._size = (width, height, pixwidth, pixheight)
        if self._master >= 0:
            terminal.set_size(self._master, self._size)

    def shell_requested(self) -> bool:
        return self._start_process([self._machine.shell, "-l"])

    def exec_requested(self, command: str) -> bool:
        if command.startswith("scp "):  # the old scp: its paths are the droplet's, so our SFTP server plays its part
            return self._start_sftp()
        return self._start_process([self._machine.shell, "-c", command])

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp" and self._start_sftp()

    def session_started(self) -> None:
        if self._sftp:
            self._sftp.session_started()
        for outflow in self._outflows:
            outflow.start()

    # ---- what the client sends ----

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._sftp:
            self._sftp.data_received(data, datatype)
        elif self._inflow:
            self._inflow.feed(data)

    def eof_received(self) -> bool:
        if self._sftp:
            return bool(self._sftp.eof_received())
        if self._inflow:
            self._inflow.eof()
        return True  # our half stays open until the process has ended

    def signal_received(self, signal: str) -> None:
        number = _signal_number(signal)
        if self._child and number:
            self._child.signal(number)

    def break_received(self, msec: int) -> bool:
        return False

    def pause_writing(self) -> None:
        if self._sftp:
            self._sftp.pause_writing()
        for outflow in self._outflows:
            outflow.pause()

    def resume_writing(self) -> None:
        if self._sftp:
            self._sftp.resume_writing()
        for outflow in self._outflows:
            outflow.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sftp:
            self._sftp.connection_lost(exc)
        if self._inflow:
            self._inflow.close()
        for outflow in self._outflows:
            outflow.stop()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        if self._child and self._master < 0:
            self._child.signal(signal.SIGHUP)  # closing a terminal has that effect by itself
        self._master = -1

    # ---- the process ----

    def _start_sftp(self) -> bool:
        self._sftp = SSHServerStreamSession(None, self._machine.sftp_factory(self._username), 3, True)
        self._sftp.connection_made(self._channel)
        return True

    def _start_process(self, argv: list[str]) -> bool:
        try:
            if self._term is not None:
                self._start_in_terminal(argv)
            else:
                self._start_with_pipes(argv)
        except OSError:
            log.exception("droplet %s: a session could not start", self._machine.droplet_id)
            return False
        return True

    def _environment(self) -> dict[str, str]:
        environment = self._machine.environment(self._username)
        for name, value in self._channel.get_environment().items():
            if ACCEPTED_VARIABLES.fullmatch(name):
                environment[name] = value
        peer, own = self._channel.get_extra_info("peername"), self._channel.get_extra_info("sockname")
        environment["SSH_CLIENT"] = f"{peer[0]} {peer[1]} {own[1]}"
        environment["SSH_CONNECTION"] = f"{peer[0]} {peer[1]} {own[0]} {own[1]}"
        return environment

    def _start_in_terminal(self, argv: list[str]) -> None:
        master, slave = terminal.open_terminal(self._size, self._modes)
        self._fds.append(master)
        try:
            name = os.ttyname(slave)
            environment = self._environment() | {"TERM": self._term or "dumb", "SSH_TTY": name}
            self._child = self._machine.spawn(
                [*terminal.TAKE_TERMINAL, name, *argv],
                env=environment,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                on_exit=self._process_ended,
            )
        finally:
            os.close(slave)
        self._master = master
        self._inflow = Inflow(master, self._channel, close_at_eof=False)
        self._outflows = [Outflow(master, self._write, self._end_if_done)]

    def _start_with_pipes(self, argv: list[str]) -> None:
        read_end, write_end = os.pipe()
        theirs, ours = [read_end], [write_end]
        try:
            for _ in range(2):
                read_end, write_end = os.pipe()
                theirs.append(write_end)
                ours.append(read_end)
            self._child = self._machine.spawn(
                argv,
                env=self._environment(),
                stdin=theirs[0],
                stdout=theirs[1],
                stderr=theirs[2],
                on_exit=self._process_ended,
            )
        except OSError:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        for fd in ours:
            os.set_blocking(fd, False)
        self._fds += ours[1:]
        self._inflow = Inflow(ours[0], self._channel, close_at_eof=True)
        self._outflows = [
            Outflow(ours[1], self._write, self._end_if_done),
            Outflow(ours[2], self._write_stderr, self._end_if_done),
        ]

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the channel is closing
            self._channel.write(data)

    def _write_stderr(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._channel.write(data, EXTENDED_DATA_STDERR)

    def _process_ended(self, child: "Child") -> None:
        if self._master >= 0:
            # What others left running in the terminal write from now on is lost, as with sshd.
            self._outflows[0].finish()
        self._end_if_done()

    def _end_if_done(self) -> None:
        code = self._child.returncode if self._child else None
        if code is None or not all(outflow.ended for outflow in self._outflows):
            return
        with contextlib.suppress(OSError):
            if code >= 0:
                self._channel.exit(code)
            else:
                self._channel.exit_with_signal(_signal_name(-code))


def _signal_number(name: str) -> int | None:
    """The number of a signal as SSH names it (RFC 4254, section 6.10: without SIG), or None."""
    number: Any = getattr(signal, f"SIG{name}", None)
    return int(number) if isinstance(number, signal.Signals) else None


def _signal_name(number: int) -> str:
    """SSH's name of a signal."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:  # a real-time signal
        return f"{number}@localcloud"
