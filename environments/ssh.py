"""SSH to droplets: one verified connection for each machine, shared by all that need it. No Django, no HTTP.

Every connection, the first included, must show the host key that we made and injected.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import asyncssh
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_IGNORE

CONNECT_TIMEOUT_S = 10.0  # also for a channel on a connection that is up
KEEPALIVE_S, KEEPALIVE_COUNT = 15, 3  # a dead machine is noticed after 45 s
IDLE_CLOSE_S = 90.0  # longer than the minute between two samples (sampler.py), or each would dial anew
CLOSE_LIMIT_S = 2.0
COMMAND_OUTPUT_MAX_BYTES = 256 * 1024
REASON_MAX_CHARS = 200  # of what a machine says when it refuses: it goes into our log
# AES-GCM first: with AES instructions it takes a third less CPU than asyncssh's default of ChaCha20 (measured on the
# way of a terminal's bytes: 9.0 against 13.4 CPU seconds a GiB).
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
]
# Small enough that Ctrl-C in a flood is felt at once, and that other terminals on the connection do not wait for long
# behind it: 64, 128 and 256 KiB gave an echo's p99 of 17, 12 and 27 ms, and took 17.0, 14.7 and 14.6 CPU seconds a GiB
# (python -m terminals.tests.bench, one busy machine, so only their ratios mean something). With 128, half a MiB and
# more came after Ctrl-C now and then (python -m terminals.tests.endurance.floods).
TERMINAL_WINDOW_BYTES = 96 * 1024
TERMINAL_TYPE = "xterm-256color"


class SSHUnavailable(Exception):
    """The machine can't be reached now; trying again later may help."""


class HostKeyMismatch(Exception):
    """Whatever answers at the address doesn't have the machine's host key. Nothing was sent to it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A machine and how to log in: keys as OpenSSH text, `host_key` the public half that it must show."""

    host: str
    port: int
    username: str
    host_key: str
    client_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """`exit_status` None: ended by a signal, by a lost connection, or by us since it printed more than is kept."""

    exit_status: int | None
    stdout: str


class _Client(asyncssh.SSHClient):
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        leave_out_empty_packets(conn)


def leave_out_empty_packets(connection: SSHConnection) -> None:
    """asyncssh sends an MSG_IGNORE before every packet, against an attack on CBC ciphers (RFC 4251, 9.3.1): there are
    none in CIPHERS, and it doubles what a key costs to send, and the other side to receive.
    """
    send = connection.send_packet

    def send_packet(kind: int, *args: bytes, **more: Any) -> None:
        if kind != MSG_IGNORE:
            send(kind, *args, **more)

    connection.send_packet = send_packet  # type: ignore[method-assign, assignment]


async def dial(target: Target) -> asyncssh.SSHClientConnection:
    """A new connection. Raises: SSHUnavailable, HostKeyMismatch."""
    try:
        return await asyncssh.connect(
            target.host,
            target.port,
            username=target.username,
            client_keys=[asyncssh.import_private_key(target.client_key)],
            known_hosts=([asyncssh.import_public_key(target.host_key)], [], []),
            config=None,
            agent_path=None,
            preferred_auth="publickey",
            encryption_algs=CIPHERS,
            compression_algs=None,
            connect_timeout=CONNECT_TIMEOUT_S,
            login_timeout=CONNECT_TIMEOUT_S,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=KEEPALIVE_COUNT,
            client_factory=_Client,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatch(f"the host key of {target.host} is not the one that was injected") from error
    except (OSError, asyncssh.Error) as error:  # TimeoutError is an OSError
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> SSHUnavailable:
    return SSHUnavailable(f"{type(error).__name__}: {error}"[:REASON_MAX_CHARS])


class Lease:
    """A hold on a target's connection, which stays open until it is released."""

    def __init__(self, connection: asyncssh.SSHClientConnection, release: Callable[[], None]) -> None:
        self.connection = connection
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let go. Harmless the second time."""
        release, self._release = self._release, None
        if release is not None:
            release()


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T")


class SSHPool:
    """Connections by target. Each is dialled once however many ask, and closed IDLE_CLOSE_S after its last use."""

    def __init__(self, *, idle_close_s: float = IDLE_CLOSE_S) -> None:
        self.on_dialled: Callable[[BaseException | None], None] = lambda error: None  # told how each dial went
        self._idle_close_s = idle_close_s
        self._slots: dict[Target, _Slot] = {}
        self._abandoned: set[asyncio.Future[Any]] = set()

    # --- Connections

    async def acquire(self, target: Target) -> Lease:
        """The target's connection. Raises: SSHUnavailable, HostKeyMismatch."""
        slot = self._slots.setdefault(target, _Slot(target))
        slot.users += 1
        slot.cancel_close()
        try:
            return Lease(await self._connected(slot), lambda: self._released(slot))
        except BaseException:
            self._released(slot)
            raise

    async def _connected(self, slot: _Slot) -> asyncssh.SSHClientConnection:
        if slot.connection is not None and not slot.connection.is_closed():
            return slot.connection
        if slot.dialling is None:
            # In a context of its own: the connection outlives whoever is the first to ask for it.
            slot.dialling = asyncio.create_task(
                dial(slot.target), name=f"ssh-dial-{slot.target.host}", context=contextvars.Context()
            )
            slot.dialling.add_done_callback(lambda task: self._dialled(slot, task))
        return await asyncio.shield(slot.dialling)  # whoever leaves takes nothing from the others that wait

    def _dialled(self, slot: _Slot, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        slot.dialling = None
        if not task.cancelled():
            self.on_dialled(task.exception())
            if task.exception() is None:
                slot.connection = task.result()
        self._rest(slot)

    def _released(self, slot: _Slot) -> None:
        slot.users -= 1
        self._rest(slot)

    def _rest(self, slot: _Slot) -> None:
        """Nobody uses the connection: close it after a while, or at once where it is of no more use."""
        if slot.users or slot.dialling is not None:
            return
        if slot.connection is None or slot.connection.is_closed() or self._slots.get(slot.target) is not slot:
            self._drop(slot)
        else:
            slot.cancel_close()
            slot.closer = asyncio.get_running_loop().call_later(self._idle_close_s, self._drop, slot)

    def _retire(self, connection: asyncssh.SSHClientConnection) -> None:
        """Give a connection that doesn't answer to nobody else; those on it may keep it."""
        for target, slot in list(self._slots.items()):
            if slot.connection is connection:
                del self._slots[target]

    def _drop(self, slot: _Slot) -> None:
        slot.cancel_close()
        if self._slots.get(slot.target) is slot:
            del self._slots[slot.target]
        if slot.connection is not None:
            slot.connection.close()

    async def aclose(self) -> None:
        """Close every connection, in use or not."""
        slots = list(self._slots.values())
        dialling = {slot.dialling for slot in slots if slot.dialling is not None}
        for dial_task in dialling:
            dial_task.cancel()
        if dialling:
            await asyncio.wait(dialling, timeout=CLOSE_LIMIT_S)
        for slot in slots:
            self._drop(slot)
        await asyncio.gather(*(_closed(slot.connection) for slot in slots if slot.connection is not None))
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=CLOSE_LIMIT_S)

    # --- What runs on them

    async def run(self, target: Target, command: str, *, timeout_s: float, stdin: bytes | None = None) -> Result:
        """Run a command and give the first 256 KiB of its output. Raises: SSHUnavailable, HostKeyMismatch.

        `stdin`: what it reads, to its end.
        """
        try:
            async with asyncio.timeout(timeout_s):
                lease = await self.acquire(target)
                try:
                    return await self._run(lease.connection, command, stdin)
                finally:
                    lease.release()
        except TimeoutError as error:
            raise SSHUnavailable(f"no answer within {timeout_s:g} s") from error
        except (OSError, asyncssh.Error) as error:
            raise _unavailable(error) from error

    async def _run(self, connection: asyncssh.SSHClientConnection, command: str, stdin: bytes | None) -> Result:
        process: asyncssh.SSHClientProcess[bytes] = await self._opened(
            connection,
            connection.create_process(command, encoding=None, stderr=asyncssh.DEVNULL),
            lambda process: process,
        )
        try:
            if stdin is not None:
                process.stdin.write(stdin)
                process.stdin.write_eof()
            chunks, room = [], COMMAND_OUTPUT_MAX_BYTES
            while room > 0 and (chunk := await process.stdout.read(room)):
                chunks.append(chunk)
                room -= len(chunk)
            if room > 0:
                await process.wait_closed()
            return Result(process.exit_status, b"".join(chunks).decode(errors="replace"))
        finally:
            process.close()  # without waiting: a machine that doesn't answer must not hold us up

    async def open_terminal(
        self,
        connection: asyncssh.SSHClientConnection,
        session: Callable[[], asyncssh.SSHClientSession[bytes]],
        *,
        command: str,
        cols: int,
        rows: int,
    ) -> None:
        """Open a PTY that runs `command`; `session` gets its channel and its bytes. Raises: SSHUnavailable."""
        opening = connection.create_session(
            session,
            command,
            term_type=TERMINAL_TYPE,
            term_size=(cols, rows),
            encoding=None,
            window=TERMINAL_WINDOW_BYTES,
        )
        try:
            await self._opened(connection, opening, lambda opened: opened[0])
        except (OSError, asyncssh.Error) as error:
            raise _unavailable(error) from error

    async def _opened(
        self,
        connection: asyncssh.SSHClientConnection,
        opening: Awaitable[T],
        channel_of: Callable[[T], _Closable],
    ) -> T:
        """Wait for a channel to open, CONNECT_TIMEOUT_S at most.

        Cancelling asyncssh in the middle of it would leave the channel open for as long as the connection lasts. So
        what nobody waits for any more goes on by itself, and is closed once there is something to close.
        """
        task = asyncio.ensure_future(opening)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.shield(task)
        except BaseException as error:
            if isinstance(error, TimeoutError):
                self._retire(connection)
            self._abandoned.add(task)
            task.add_done_callback(lambda task: self._close_abandoned(task, channel_of))
            raise

    def _close_abandoned(self, task: asyncio.Future[T], channel_of: Callable[[T], _Closable]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and task.exception() is None:
            channel_of(task.result()).close()


async def _closed(connection: asyncssh.SSHClientConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()


@dataclass(slots=True, eq=False)
class _Slot:
    target: Target
    connection: asyncssh.SSHClientConnection | None = None
    dialling: asyncio.Task[asyncssh.SSHClientConnection] | None = None
    users: int = 0
    closer: asyncio.TimerHandle | None = None

    def cancel_close(self) -> None:
        if self.closer is not None:
            self.closer.cancel()
            self.closer = None
