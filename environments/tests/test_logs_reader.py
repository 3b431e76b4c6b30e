"""Reads of machines' logs: shared by all who ask, and never too many."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from environments import connections, log_reader
from environments.log_lines import Line, Source, parse_logs
from environments.log_reader import LogReader
from environments.ssh import SSHUnavailable
from environments.tests.sshd import Machine, Process, eventually, never

HOME = uuid.UUID(int=1)
ALL = tuple(Source)


class Served:
    """A machine's answers: held until `go`, counted, and how many were under way at once."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.go = machine, asyncio.Event()
        self.begun = self.most = 0
        machine.serve = self

    async def __call__(self, process: Process) -> None:
        self.begun += 1
        self.most = max(self.most, self.machine.open_channels)
        await self.go.wait()
        process.stdout.write(f"\n{process.command} install 100 0 1\nRead {self.begun}\n".encode())
        process.exit(0)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    async with Machine.start() as running:
        async with connections.lifespan():
            yield running
        await eventually(lambda: running.open_channels == 0)


@pytest.fixture
def served(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setattr(log_reader, "logs_command", lambda mark, sources: mark)
    return Served(machine)


def messages(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


async def test_many_at_once_and_soon_after_share_one_read(machine: Machine, served: Served) -> None:
    reader = LogReader(keep_s=60)
    asking = [asyncio.create_task(reader.lines(HOME, machine.target(), ALL)) for _ in range(8)]
    await eventually(lambda: served.begun == 1)
    served.go.set()
    found = await asyncio.gather(*asking)
    assert [messages(lines) for lines in found] == [["Read 1"]] * 8
    assert await reader.lines(HOME, machine.target(), ALL[::-1]) is found[0]
    assert served.begun == 1


async def test_after_a_while_it_is_read_anew(machine: Machine, served: Served) -> None:
    served.go.set()
    reader = LogReader(keep_s=0.01)
    assert messages(await reader.lines(HOME, machine.target(), ALL)) == ["Read 1"]
    await eventually(lambda: len(reader._reads) == 0)
    assert messages(await reader.lines(HOME, machine.target(), ALL)) == ["Read 2"]


async def test_a_failure_is_not_kept(machine: Machine, served: Served) -> None:
    served.go.set()
    reader = LogReader(keep_s=60)
    machine.session_limit = 0
    with pytest.raises(SSHUnavailable):
        await reader.lines(HOME, machine.target(), ALL)
    machine.session_limit = None
    assert messages(await reader.lines(HOME, machine.target(), ALL)) == ["Read 1"]


async def test_other_sources_and_other_machines_are_other_reads(machine: Machine, served: Served) -> None:
    served.go.set()
    reader = LogReader(keep_s=60)
    for environment_id in (HOME, uuid.UUID(int=2)):
        for sources in (ALL, (Source.INSTALL,)):
            await reader.lines(environment_id, machine.target(), sources)
    assert served.begun == 4


async def test_no_more_than_a_few_at_once(machine: Machine, served: Served) -> None:
    reader = LogReader(reads_max=3)
    asking = [asyncio.create_task(reader.lines(uuid.uuid4(), machine.target(), ALL)) for _ in range(12)]
    await eventually(lambda: served.begun == 3)
    served.go.set()
    await asyncio.gather(*asking)
    assert (served.begun, served.most) == (12, 3)


async def test_a_machine_that_hangs_takes_one_place(machine: Machine, served: Served) -> None:
    served.go.set()
    reader = LogReader(reads_max=2)
    async with Machine.start() as silent:
        silent.serve = never
        hanging = [asyncio.create_task(reader.lines(HOME, silent.target(), (source,))) for source in Source]
        await eventually(lambda: silent.open_channels == 1)
        assert messages(await reader.lines(uuid.UUID(int=2), machine.target(), ALL)) == ["Read 1"]
        assert silent.open_channels == 1
        await reader._reads.aclose()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_nobody_waits_longer_than_an_answer_may_take(
    machine: Machine, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the machine, and not for the turn either."""
    monkeypatch.setattr(log_reader, "ANSWER_LIMIT_S", 0.2)
    reader = LogReader(reads_max=1)
    asking = (reader.lines(uuid.uuid4(), machine.target(), ALL) for _ in range(3))
    async with asyncio.timeout(3):
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TimeoutError}
    await eventually(lambda: len(reader._reads) == 0)  # and no read goes on for nobody
    served.go.set()


async def test_it_is_parsed_beside_the_event_loop(
    machine: Machine, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def parse(*arguments: Any, **options: Any) -> list[Line]:
        threads.append(threading.current_thread())
        return parse_logs(*arguments, **options)

    monkeypatch.setattr(log_reader, "parse_logs", parse)
    served.go.set()
    await LogReader().lines(HOME, machine.target(), ALL)
    assert threads
    assert threads != [threading.current_thread()]
