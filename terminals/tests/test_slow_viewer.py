"""A viewer that reads slowly: the machine is held back to its pace, and nothing gathers on the way."""

from __future__ import annotations

import asyncio
import uuid

from environments.ssh import SSHPool
from environments.tests.sshd import Machine, Process
from terminals.hub import Hub
from terminals.stream import Place

AHEAD_MAX_BYTES = 768 * 1024  # of the machine before the viewer: our buffers, the SSH window, and the machine's own
PIECES = 150


async def test_the_machine_is_never_far_ahead_of_a_slow_viewer() -> None:
    written = 0

    async def flood(process: Process) -> None:
        nonlocal written
        while True:
            process.stdout.write(b"y\r\n" * 1000)
            written += 3000
            await process.stdout.drain()

    ahead: list[int] = []
    async with Machine.start() as machine:
        machine.serve = flood
        pool = SSHPool(idle_close_s=0)
        hub = Hub(pool, resume_s=60)
        viewer = await hub.open(Place(uuid.uuid4(), None), target=machine.target(), command="shell")
        async with asyncio.timeout(20):
            async for _ in viewer.follow_text():
                for _ in range(20):  # turns of the loop, in which the machine may send
                    await asyncio.sleep(0.0005)
                ahead.append(written - viewer.offset)
                if len(ahead) == PIECES:
                    break
        hub.close()
        await pool.aclose()
    assert max(ahead) < AHEAD_MAX_BYTES
