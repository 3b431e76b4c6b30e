"""What machines have of logs: read over their shared SSH connections, a few at a time, once for all who ask."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from uuid import UUID
from weakref import WeakValueDictionary

from django.utils import timezone

from environments import connections
from environments.log_lines import Line, Source, logs_command, parse_logs
from environments.shared_work import SharedWork
from environments.ssh import HostKeyMismatch, SSHUnavailable, Target

COMMAND_LIMIT_S = 4.0
ANSWER_LIMIT_S = 4.5  # of 5: the rest is for the database
KEEP_S = 2.0  # a log is looked at every few seconds, by several screens
READS_MAX = 16  # in a process; each holds up to 256 KiB of text, or of many short lines 9 MB
PARSES_MAX = 2  # 256 KiB are 0.2 s of CPU, which the event loop gets less of meanwhile

NO_ANSWER = (SSHUnavailable, HostKeyMismatch, TimeoutError)


class LogReader:
    """This process's reads. One at a time for each machine, so that one that hangs takes no other's place."""

    def __init__(self, *, keep_s: float = KEEP_S, reads_max: int = READS_MAX) -> None:
        self._reads: SharedWork[tuple[UUID, frozenset[Source]], list[Line]] = SharedWork(
            "logs", expected=NO_ANSWER, keep_s=keep_s
        )
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._room, self._parsing = asyncio.Semaphore(reads_max), asyncio.Semaphore(PARSES_MAX)

    async def lines(self, environment_id: UUID, target: Target, sources: Collection[Source]) -> list[Line]:
        """All lines, up to KEEP_S old; not to be changed, for others have them too.

        Raises: SSHUnavailable, HostKeyMismatch, TimeoutError.
        """
        wanted = frozenset(sources)
        return await self._reads.outcome(
            (environment_id, wanted), lambda: self._read(environment_id, target, wanted), limit_s=ANSWER_LIMIT_S
        )

    async def _read(self, environment_id: UUID, target: Target, sources: frozenset[Source]) -> list[Line]:
        turn = self._turns.setdefault(environment_id, asyncio.Lock())
        async with asyncio.timeout(ANSWER_LIMIT_S), turn, self._room:
            mark = secrets.token_hex(16)
            result = await connections.pool.run(target, logs_command(mark, sources), timeout_s=COMMAND_LIMIT_S)
            async with self._parsing:
                return await asyncio.to_thread(parse_logs, result.stdout, mark, now=timezone.now())


reader = LogReader()
