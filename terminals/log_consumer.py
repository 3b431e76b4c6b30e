"""The logs' WebSocket (contract section 9.5): a view of an environment's log follower.

Who may connect, and how it ends, is as with a terminal (9.1, 9.4, 9.6), but for the phase: only what is deleted has no
logs.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from devpocket.flags import Flag
from environments.lifecycle import Phase
from environments.log_buffer import Entry
from environments.log_follower import LogFollower, followers
from environments.models import Environment
from terminals import log_frames
from terminals.access import Refused, Standing
from terminals.environment_socket import EnvironmentSocket
from terminals.log_protocol import LogsQuery, parse_logs_query
from terminals.models import OpenTerminal
from terminals.socket_life import NORMAL, Message

LAST_LINES_LIMIT_S = 5.0  # two looks at the machine: the row may know that all is done before its last lines are read


class LogsConsumer(EnvironmentSocket):
    """One client. A task of its own tells what was seen of the environment: a client that reads nothing must not keep
    its revocation from being noticed.
    """

    kind = OpenTerminal.Kind.LOGS

    query: LogsQuery
    environment: Environment  # as it was last seen
    told: log_frames.Told

    def __init__(self) -> None:
        super().__init__()
        self.follower: LogFollower | None = None
        self.changed = Flag()  # what `environment` is
        self.last_line = Flag()  # the set-up's own "100 %" was told

    # --- Lines

    async def serve(self, welcome_by: float) -> None:
        """Admit the client, welcome it, and tell it what was logged and, if it wants to know, what is."""
        self.query = parse_logs_query(self.scope["query_string"])
        try:
            standing, _ = await self.admit()
        except Refused as refused:
            return await self.refuse(refused)
        assert standing.environment is not None  # noqa: S101 -- admit() refuses without
        self.environment = standing.environment
        self.told = log_frames.Told(self.environment)
        await self.tell(log_frames.welcome(self.environment))
        self.may_read.set()
        self.watch(standing)
        async with followers.watching(self.environment.pk) as follower:
            self.follower = follower
            await follower.first_answer()
            number = await self._tell_history(follower)
            for frame in self.told.news(self.environment):
                await self.tell(frame)
            if not self.query.follow:
                return await self.finish(NORMAL, "normal", None)
            self.start(self._tell_news, name=f"news-{self.environment.pk}")
            async with aclosing(follower.follow(number)) as steps:
                async for missed, entries in steps:
                    if missed:
                        await self.tell(log_frames.missed(missed))
                    await self._tell_lines(entries)

    async def _tell_history(self, follower: LogFollower) -> int:
        """The newest lines, as many as are wanted; the number of the one that comes next."""
        first, entries = follower.buffer.since(follower.history_start(self.query.lines), self.query.lines)
        await self._tell_lines(entries)
        return first + len(entries)

    async def _tell_lines(self, entries: list[Entry]) -> None:
        for entry in entries:
            await self.tell(self.told.line(self.environment.pk, entry))
            if entry.percent >= 100:
                self.last_line.set()

    # --- What happens to the sign-in and the environment meanwhile

    def environment_changed(self, event: Message) -> None:
        super().environment_changed(event)
        if self.follower is not None:
            self.follower.look()

    def may_stay(self, standing: Standing) -> bool:
        return standing.environment is not None and standing.environment.phase != Phase.TERMINATED

    def counts_as_use(self) -> bool:
        """As a terminal that is open does."""
        return self.query.follow

    def is_in_use(self) -> bool:
        return self.query.follow and self.environment.phase == Phase.RUNNING

    def looks_often(self, standing: Standing) -> bool:
        return standing.environment is not None and log_frames.is_being_prepared(standing.environment)

    def seen(self, standing: Standing) -> None:
        assert standing.environment is not None  # noqa: S101 -- who stays has one
        self.environment = standing.environment
        self.changed.set()

    async def _tell_news(self) -> None:
        """How the environment is, after every look; a client that is slow is told of the last of them."""
        while True:
            await self.changed.wait()
            if self.environment.installation_completed and not self.told.is_complete:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_LINES_LIMIT_S):
                        await self.last_line.wait()
            self.changed.clear()
            for frame in self.told.news(self.environment):
                await self.tell(frame)
