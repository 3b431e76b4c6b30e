"""SSH to droplets: one verified connection for each machine, shared by all that need it. No Django, no HTTP.

Every connection, the first included, must show the host key that we made and injected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncssh

CONNECT_TIMEOUT_S = 10
KEEPALIVE_S, KEEPALIVE_COUNT = 15, 3  # a dead machine is noticed after 45 s
IDLE_CLOSE_S = 60.0
COMMAND_OUTPUT_MAX_BYTES = 256 * 1024
# AES-GCM first: with AES instructions it takes a third less CPU than asyncssh's default of ChaCha20 (measured on the
# way of a terminal's bytes: 9.0 against 13.4 CPU seconds a GiB).
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
]
# Small enough that Ctrl-C in a flood is felt at once, large enough to cost no throughput worth it.
TERMINAL_WINDOW_BYTES = 256 * 1024
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
    """`exit_status` None: ended by a signal, or the connection was lost."""

    exit_status: int | None
    stdout: str


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
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatch(f"the host key of {target.host} is not the one that was injected") from error
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise SSHUnavailable(f"{type(error).__name__}: {error}") from error


class SSHPool:
    """Connections by target. Each is dialled once however many ask, and closed IDLE_CLOSE_S after its last use."""

    def __init__(self, *, idle_close_s: float = IDLE_CLOSE_S) -> None:
        self._idle_close_s = idle_close_s
        self._slots: dict[Target, _Slot] = {}

    @asynccontextmanager
    async def use(self, target: Target) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """The target's connection, held open for the time of the block. Raises: SSHUnavailable, HostKeyMismatch."""
        slot = self._slots.setdefault(target, _Slot())
        slot.users += 1
        slot.cancel_close()
        try:
            async with slot.dialling:
                if slot.connection is None or slot.connection.is_closed():
                    slot.connection = await dial(target)
            yield slot.connection
        finally:
            slot.users -= 1
            if slot.users == 0:
                if slot.connection is None or slot.connection.is_closed():
                    self._drop(target, slot)
                else:
                    loop = asyncio.get_running_loop()
                    slot.closer = loop.call_later(self._idle_close_s, self._drop, target, slot)

    def _drop(self, target: Target, slot: _Slot) -> None:
        slot.cancel_close()
        if self._slots.get(target) is slot:
            del self._slots[target]
        if slot.connection is not None:
            slot.connection.close()

    async def aclose(self) -> None:
        """Close every connection, in use or not."""
        slots = list(self._slots.items())
        for target, slot in slots:
            self._drop(target, slot)
        for _, slot in slots:
            if slot.connection is not None:
                try:
                    async with asyncio.timeout(2):
                        await slot.connection.wait_closed()
                except TimeoutError:
                    slot.connection.abort()

    async def run(self, target: Target, command: str, *, timeout_s: float) -> Result:
        """Run a command and give the first 256 KiB of its output. Raises: SSHUnavailable, HostKeyMismatch."""
        try:
            async with asyncio.timeout(timeout_s), self.use(target) as connection:
                process: asyncssh.SSHClientProcess[bytes]
                async with connection.create_process(command, encoding=None, stderr=asyncssh.DEVNULL) as process:
                    output = await process.stdout.read(COMMAND_OUTPUT_MAX_BYTES)
                    if process.stdout.at_eof():
                        await process.wait_closed()
                    return Result(process.exit_status, output.decode(errors="replace"))
        except TimeoutError as error:
            raise SSHUnavailable(f"no answer within {timeout_s:g} s") from error
        except (OSError, asyncssh.Error) as error:
            raise SSHUnavailable(f"{type(error).__name__}: {error}") from error


@dataclass(slots=True, eq=False)
class _Slot:
    connection: asyncssh.SSHClientConnection | None = None
    users: int = 0
    closer: asyncio.TimerHandle | None = None
    dialling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def cancel_close(self) -> None:
        if self.closer is not None:
            self.closer.cancel()
            self.closer = None


async def open_terminal(
    connection: asyncssh.SSHClientConnection,
    session: Callable[[], asyncssh.SSHClientSession[bytes]],
    *,
    command: str,
    cols: int,
    rows: int,
) -> asyncssh.SSHClientChannel[bytes]:
    """Open a PTY that runs `command`; `session` receives its bytes. Raises: SSHUnavailable."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            channel, _ = await connection.create_session(
                session,
                command,
                term_type=TERMINAL_TYPE,
                term_size=(cols, rows),
                encoding=None,
                window=TERMINAL_WINDOW_BYTES,
            )
            return channel
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise SSHUnavailable(f"{type(error).__name__}: {error}") from error
