"""The SSH server of a droplet: keys only, sessions, SFTP below the disk, forwarding to loopback."""

import asyncio
import contextlib
import ipaddress
import os
import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

import asyncssh

from environments.localcloud.disk import Disk
from environments.localcloud.session import DropletSession
from environments.ssh import leave_out_empty_packets

if TYPE_CHECKING:
    from environments.localcloud.machine import Machine

# aes128-gcm is the fastest by far with AES-NI: one pass, no separate MAC. The rest is OpenSSH's list.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
LOGIN_TIMEOUT_S = 30


class DropletServer(asyncssh.SSHServer):
    """One connection to a droplet."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        leave_out_empty_packets(conn)  # as OpenSSH does
        self._machine.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._machine.connections.discard(self._connection)

    async def begin_auth(self, username: str) -> bool:
        # Read at each login, as sshd does: whoever changes the file changes who may come in.
        text = await asyncio.to_thread(self._machine.disk.authorized_keys, username)
        self._connection.set_authorized_keys(parse_authorized_keys(text))
        return True

    def session_requested(self) -> DropletSession:
        return DropletSession(self._machine, self._connection.get_extra_info("username"))

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Forward to this host's loopback only: what a droplet serves to itself is there."""
        if dest_host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(dest_host).is_loopback
        return False


def parse_authorized_keys(text: str) -> asyncssh.SSHAuthorizedKeys:
    """The keys in an authorized_keys file; lines that are none are left out, as sshd leaves them out."""
    good = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, asyncssh.KeyImportError):
            asyncssh.import_authorized_keys(line)
            good.append(line)
    return asyncssh.import_authorized_keys("\n".join(good)) if good else asyncssh.SSHAuthorizedKeys()


class DiskSFTPServer(asyncssh.SFTPServer):
    """SFTP whose root is the droplet's disk. Relative paths start in the user's home, as with sshd."""

    def __init__(self, chan: "asyncssh.SSHServerChannel[bytes]", disk: Disk, home: str) -> None:
        super().__init__(chan, chroot=os.fsencode(disk.root))
        self._home = home.encode()

    def map_path(self, path: bytes) -> bytes:
        return super().map_path(posixpath.join(self._home, path))

    def realpath(self, path: bytes) -> bytes:
        # By name only: a home on a volume is a link off the disk, and has no other name on the droplet.
        return posixpath.normpath(posixpath.join(b"/", self._home, path))


def sftp_factory(disk: Disk, home: str) -> Callable[["asyncssh.SSHServerChannel[bytes]"], DiskSFTPServer]:
    """What makes the SFTP server of a session."""
    return lambda chan: DiskSFTPServer(chan, disk, home)


async def listen(machine: "Machine", address: str, port: int, host_keys: list[asyncssh.SSHKey]) -> asyncssh.SSHAcceptor:
    """Start a droplet's SSH server.

    Raises:
        OSError: the address is taken.
    """
    return await asyncssh.listen(
        address,
        port,
        server_factory=lambda: DropletServer(machine),
        server_host_keys=host_keys,
        config=None,
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        encryption_algs=list(CIPHERS),
        compression_algs=["none", "zlib@openssh.com"],
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        login_timeout=LOGIN_TIMEOUT_S,
        backlog=128,
    )
