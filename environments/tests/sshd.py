"""An SSH server in the test's own event loop, as slow, silent or wrong as a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from environments.ssh import Target

USER = "devpocket"
Process = asyncssh.SSHServerProcess[bytes]


class Machine:
    """`serve` runs for every command; `open` (set: yes) is waited for before a channel opens."""

    def __init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key_text = self.client_key.export_private_key().decode()  # no two exports are the same text
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.logins: list[str] = []  # names for which a login was tried
        self.open_channels = 0
        self.session_limit: int | None = None  # as sshd's MaxSessions
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.serve: Callable[[Process], Awaitable[None]] = echo_command
        self.host = "127.0.0.1"
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def start(cls, beside: Machine | None = None) -> AsyncIterator[Machine]:
        """`beside`: another one of the same user; on 127.0.0.2, since all machines have the same port."""
        machine = cls()
        if beside is not None:
            machine.client_key, machine.host, machine.port = beside.client_key, "127.0.0.2", beside.port
        acceptor = await asyncssh.listen(
            machine.host,
            machine.port,
            server_factory=lambda: _Server(machine),
            server_host_keys=[machine.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(machine.client_key.export_public_key().decode()),
            config=None,
            encoding=None,
            line_editor=False,
        )
        machine.port = acceptor.get_port()
        try:
            yield machine
        finally:
            acceptor.close()
            machine.break_connections()
            await acceptor.wait_closed()

    def target(self, **changes: Any) -> Target:
        fields: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "username": USER,
            "host_key": self.host_key.export_public_key().decode(),
            "client_key": self.client_key_text,
            **changes,
        }
        return Target(**fields)

    def break_connections(self) -> None:
        for connection in list(self.connections):
            connection.abort()

    async def run(self, process: Process) -> None:
        self.open_channels += 1
        try:
            await self.serve(process)
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged, OSError):
            pass
        finally:
            self.open_channels -= 1
            process.close()


class _Server(asyncssh.SSHServer):
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.machine.connections.append(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self.machine.connections.remove(self.connection)

    def begin_auth(self, username: str) -> bool:
        self.machine.logins.append(username)
        return True

    async def _slowly(self, session: Any) -> Any:
        await self.machine.may_open.wait()
        return session

    def session_requested(self) -> Any:
        if self.machine.session_limit is not None and self.machine.open_channels >= self.machine.session_limit:
            return False
        session: Any = asyncssh.SSHServerProcess(self.machine.run, None, 3, False)
        return session if self.machine.may_open.is_set() else self._slowly(session)


async def echo_command(process: Process) -> None:
    """Print the command itself."""
    process.stdout.write((process.command or "").encode())
    process.exit(0)


async def flood(process: Process) -> None:
    """Print without end."""
    while True:
        process.stdout.write(b"y\r\n" * 1000)
        await process.stdout.drain()


async def never(process: Process) -> None:
    """Print nothing, for ever: until the channel is closed."""
    await process.stdin.read()


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
