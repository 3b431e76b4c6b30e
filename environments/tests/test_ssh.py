"""One verified connection a machine, whatever the machine does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_IGNORE

from environments import ssh
from environments.ssh import COMMAND_OUTPUT_MAX_BYTES, HostKeyMismatch, SSHPool, SSHUnavailable
from environments.tests.sshd import Machine, Process, eventually, flood, never


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        yield running


@pytest.fixture
async def pool() -> AsyncIterator[SSHPool]:
    pool = SSHPool()
    yield pool
    await pool.aclose()


class Terminal(asyncssh.SSHClientSession[bytes]):
    """What open_terminal is given: remembers what it got."""

    def __init__(self) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.lost = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def listening(answer: Callable[[asyncio.StreamWriter], None]) -> asyncio.Server:
    """A TCP server that only does what `answer` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer(writer)
        await reader.read()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def test_a_command_gives_its_output_and_status(machine: Machine, pool: SSHPool) -> None:
    async def serve(process: Process) -> None:
        process.stderr.write(b"not this")
        process.stdout.write("täst".encode() + b"\xff")
        process.exit(3)

    machine.serve = serve
    result = await pool.run(machine.target(), "anything", timeout_s=5)
    assert (result.exit_status, result.stdout) == (3, "täst\ufffd")


async def test_output_that_comes_in_pieces_is_whole(machine: Machine, pool: SSHPool) -> None:
    async def serve(process: Process) -> None:
        for piece in (b"one ", b"two ", b"three"):
            process.stdout.write(piece)
            await process.stdout.drain()
            await asyncio.sleep(0.01)  # so that each is a packet and a read of its own
        process.exit(0)

    machine.serve = serve
    assert (await pool.run(machine.target(), "x", timeout_s=5)).stdout == "one two three"


async def test_no_empty_packets_go_between_those_that_say_something(machine: Machine, pool: SSHPool) -> None:
    lease = await pool.acquire(machine.target())
    (connection,) = machine.connections
    process_packet, received = connection.process_packet, []

    def noted(kind: int, *args: Any) -> Any:
        received.append(kind)
        return process_packet(kind, *args)

    connection.process_packet = noted  # type: ignore[method-assign]
    assert (await pool.run(machine.target(), "words", timeout_s=5)).stdout == "words"
    lease.release()
    assert MSG_CHANNEL_OPEN in received
    assert MSG_IGNORE not in received


async def test_all_share_one_connection(machine: Machine, pool: SSHPool) -> None:
    results = await asyncio.gather(*(pool.run(machine.target(), f"c{n}", timeout_s=5) for n in range(8)))
    assert [result.stdout for result in results] == [f"c{n}" for n in range(8)]
    assert len(machine.connections) == 1
    assert machine.logins == ["devpocket"]


async def test_whoever_stops_waiting_for_a_connection_takes_it_from_nobody(machine: Machine, pool: SSHPool) -> None:
    first = asyncio.create_task(pool.acquire(machine.target()))
    second = asyncio.create_task(pool.acquire(machine.target()))
    await eventually(lambda: bool(machine.connections))
    first.cancel()
    (await second).release()
    assert len(machine.logins) == 1


async def test_a_wrong_host_key_is_told_and_nothing_is_sent(machine: Machine, pool: SSHPool) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(HostKeyMismatch):
        await pool.run(machine.target(host_key=other), "secret", timeout_s=5)
    assert machine.logins == []


async def test_a_host_key_of_another_type_is_never_accepted(machine: Machine, pool: SSHPool) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises((HostKeyMismatch, SSHUnavailable)):
        await pool.run(machine.target(host_key=other), "secret", timeout_s=5)
    assert machine.logins == []


async def test_a_refused_login_is_unavailable(machine: Machine, pool: SSHPool) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(SSHUnavailable):
        await pool.run(machine.target(client_key=stranger), "x", timeout_s=5)


async def test_a_closed_port_is_unavailable(machine: Machine, pool: SSHPool) -> None:
    with pytest.raises(SSHUnavailable):
        await pool.run(machine.target(port=1), "x", timeout_s=5)


@pytest.mark.parametrize(
    "answer",
    [lambda writer: None, lambda writer: writer.write(b"SSH-2.0-Silent\r\n")],
    ids=["says nothing", "stops after its name"],
)
async def test_a_machine_that_hangs_is_unavailable_within_the_limit(
    machine: Machine, pool: SSHPool, answer: Callable[[asyncio.StreamWriter], None]
) -> None:
    server = await listening(answer)
    began = time.monotonic()
    with pytest.raises(SSHUnavailable):
        await pool.run(machine.target(port=server.sockets[0].getsockname()[1]), "x", timeout_s=0.3)
    assert time.monotonic() - began < 2
    await pool.aclose()
    server.close()


async def test_many_that_wait_for_a_hanging_machine_wait_once(
    machine: Machine, pool: SSHPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 0.3)
    server = await listening(lambda writer: None)
    target = machine.target(port=server.sockets[0].getsockname()[1])
    began = time.monotonic()
    results = await asyncio.gather(*(pool.acquire(target) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [SSHUnavailable] * 5
    assert time.monotonic() - began < 1
    server.close()


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 5000, b"SSH-2.0-x\r\n" + b"\xff" * 5000]
)
async def test_whatever_else_listens_there_is_unavailable(machine: Machine, pool: SSHPool, noise: bytes) -> None:
    def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        writer.write_eof()

    server = await listening(answer)
    with pytest.raises(SSHUnavailable):
        await pool.run(machine.target(port=server.sockets[0].getsockname()[1]), "x", timeout_s=5)
    server.close()


async def test_an_idle_connection_is_closed(machine: Machine) -> None:
    pool = SSHPool(idle_close_s=0.05)
    await pool.run(machine.target(), "x", timeout_s=5)
    await eventually(lambda: machine.connections == [])
    assert (await pool.run(machine.target(), "again", timeout_s=5)).stdout == "again"
    await pool.aclose()


async def test_a_connection_in_use_is_not_idle(machine: Machine) -> None:
    pool = SSHPool(idle_close_s=0)
    lease = await pool.acquire(machine.target())
    await pool.run(machine.target(), "x", timeout_s=5)
    assert not lease.connection.is_closed()
    assert len(machine.connections) == 1
    lease.release()
    lease.release()
    await eventually(lambda: machine.connections == [])
    await pool.aclose()


async def test_a_broken_connection_is_dialled_again(machine: Machine, pool: SSHPool) -> None:
    lease = await pool.acquire(machine.target())
    machine.break_connections()
    await lease.connection.wait_closed()
    assert (await pool.run(machine.target(), "again", timeout_s=5)).stdout == "again"
    assert len(machine.logins) == 2
    lease.release()


async def test_a_command_that_breaks_off_is_unavailable_or_has_no_status(machine: Machine, pool: SSHPool) -> None:
    async def serve(process: Process) -> None:
        machine.break_connections()

    machine.serve = serve
    with contextlib.suppress(SSHUnavailable):
        assert (await pool.run(machine.target(), "x", timeout_s=5)).exit_status is None


async def test_endless_output_is_cut_and_its_command_ended(machine: Machine, pool: SSHPool) -> None:
    machine.serve = flood
    result = await pool.run(machine.target(), "x", timeout_s=5)
    assert len(result.stdout) == COMMAND_OUTPUT_MAX_BYTES
    assert result.exit_status is None
    await eventually(lambda: machine.open_channels == 0)


async def test_a_command_that_never_ends_is_given_up_and_its_channel_closed(machine: Machine, pool: SSHPool) -> None:
    machine.serve = never
    began = time.monotonic()
    with pytest.raises(SSHUnavailable, match=r"within 0\.2 s"):
        await pool.run(machine.target(), "x", timeout_s=0.2)
    assert time.monotonic() - began < 2
    await eventually(lambda: machine.open_channels == 0)
    assert len(machine.connections) == 1


async def test_a_channel_that_opens_too_late_is_closed(
    machine: Machine, pool: SSHPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncssh would leave it open, and sshd allows only so many on a connection."""
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 0.2)
    machine.serve = never
    lease = await pool.acquire(machine.target())
    machine.may_open.clear()
    late = Terminal()
    with pytest.raises(SSHUnavailable):
        await pool.open_terminal(lease.connection, lambda: late, command="x", cols=80, rows=24)
    machine.may_open.set()
    async with asyncio.timeout(5):
        await late.lost.wait()
    await eventually(lambda: machine.open_channels == 0)
    lease.release()


async def test_opening_a_terminal_can_be_cancelled_at_any_moment(machine: Machine, pool: SSHPool) -> None:
    machine.serve = never
    lease = await pool.acquire(machine.target())
    for steps in range(12):
        opening = asyncio.create_task(
            pool.open_terminal(lease.connection, Terminal, command="x", cols=80, rows=24), name=f"after-{steps}"
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    await eventually(lambda: machine.open_channels == 0 and not pool._abandoned)
    lease.release()


async def test_a_connection_that_does_not_answer_is_given_to_nobody_else(
    machine: Machine, pool: SSHPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 0.2)
    lease = await pool.acquire(machine.target())
    machine.may_open.clear()
    with pytest.raises(SSHUnavailable):
        await pool.run(machine.target(), "x", timeout_s=5)
    machine.may_open.set()
    assert (await pool.run(machine.target(), "again", timeout_s=5)).stdout == "again"
    assert len(machine.connections) == 2
    assert not lease.connection.is_closed()
    lease.release()
    await eventually(lambda: len(machine.connections) == 1)  # the old one goes with its last user


async def test_closing_the_pool_ends_what_is_dialled_and_what_is_open(machine: Machine) -> None:
    pool = SSHPool()
    await pool.acquire(machine.target())
    server = await listening(lambda writer: None)
    dialling = asyncio.create_task(pool.acquire(machine.target(port=server.sockets[0].getsockname()[1])))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await pool.aclose()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await eventually(lambda: machine.connections == [])
    server.close()


def test_no_key_is_shown(machine: Machine) -> None:
    assert "PRIVATE" not in repr(machine.target())
