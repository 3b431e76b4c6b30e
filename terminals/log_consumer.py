"""The logs' WebSocket (contract section 9.5): a view of an environment's log follower.

Who may connect, and how it ends, is as with a terminal (9.1, 9.4, 9.6), but for the phase: only what is deleted has no
logs.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import structlog
from channels.db import database_sync_to_async

from environments.lifecycle import Phase
from environments.log_buffer import Entry
from environments.log_follower import LogFollower, followers
from environments.models import Environment
from terminals import access, frames, log_frames, slots
from terminals.access import Refused, Standing, look_again
from terminals.consumers import (
    FINISH_LIMIT_S,
    GONE,
    LOOK_WAITING_S,
    NORMAL,
    POLICY_VIOLATION,
    Message,
    TerminalConsumer,
)
from terminals.log_protocol import LogsQuery, parse_logs_frame, parse_logs_query
from terminals.protocol import BadFrame

log = structlog.get_logger(__name__)

LAST_LINES_LIMIT_S = 5.0  # two looks at the machine: the row may know that all is done before its last lines are read


class LogsConsumer(TerminalConsumer):
    """One client. Its tasks: `_serve` admits it and relays lines, `_watch` follows its sign-in and environment, and
    `_tell_news` says what that has seen: a client that reads nothing must not keep its revocation from being noticed.
    """

    query: LogsQuery
    environment: Environment  # as it was last seen
    told: log_frames.Told

    def __init__(self) -> None:
        super().__init__()
        self.follower: LogFollower | None = None
        self.changed = asyncio.Event()  # what `environment` is
        self.last_line = asyncio.Event()  # the set-up's own "100 %" was told

    # --- The client's messages

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            parse_logs_frame(text_data if text_data is not None else bytes_data or b"")
        except BadFrame as bad:
            self.reply = frames.error(bad.code, bad.message)
        else:
            self.reply = frames.pong()

    # --- Lines

    async def _serve(self, welcome_by: float) -> None:
        """Admit the client, welcome it, and tell it what was logged and, if it wants to know, what is."""
        try:
            standing = await self._admit()
        except Refused as refused:
            return await self._refuse(refused)
        assert standing.environment is not None  # noqa: S101 -- _admit() refuses without
        self.environment = standing.environment
        self.query = parse_logs_query(self.scope["query_string"])
        self.told = log_frames.Told(self.environment)
        await self._tell(log_frames.welcome(self.environment))
        self.may_read.set()
        self.tasks.start(self._guarded(self._watch(standing)), name=f"watch-{self.environment.pk}")
        async with followers.watching(self.environment.pk) as follower:
            self.follower = follower
            await follower.first_answer()
            number = await self._tell_history(follower)
            for frame in self.told.news(self.environment):
                await self._tell(frame)
            if not self.query.follow:
                return await self._leave()
            self.tasks.start(self._guarded(self._tell_news()), name=f"news-{self.environment.pk}")
            async with aclosing(follower.follow(number)) as steps:
                async for missed, entries in steps:
                    if missed:
                        await self._tell(log_frames.missed(missed))
                    await self._tell_lines(entries)

    async def _admit(self) -> Standing:
        """The terminal's checks but that of the phase. Raises: Refused."""
        try:
            return await super()._admit()
        except Refused as refused:
            if refused.code != access.NOT_RUNNING[0]:
                raise
            standing = await database_sync_to_async(look_again)(self.access)
            if standing.environment is None or standing.environment.phase == Phase.TERMINATED:
                raise
            return standing

    async def _tell_history(self, follower: LogFollower) -> int:
        """The newest lines, as many as are wanted; the number of the one that comes next."""
        first, entries = follower.buffer.since(follower.history_start(self.query.lines), self.query.lines)
        await self._tell_lines(entries)
        return first + len(entries)

    async def _tell_lines(self, entries: list[Entry]) -> None:
        for entry in entries:
            await self._tell(self.told.line(self.environment.pk, entry))
            if entry.percent >= 100:
                self.last_line.set()

    async def _leave(self) -> None:
        """All is told that was asked for."""
        if self.is_closing:
            return
        self.is_closing = True
        try:
            async with asyncio.timeout(FINISH_LIMIT_S), self._sending:
                await self.close(code=NORMAL, reason="normal")
        except GONE:
            pass
        finally:
            self._end()

    # --- What happens to the sign-in and the environment meanwhile

    async def environment_changed(self, event: Message) -> None:
        self.news.set()
        if self.follower is not None:
            self.follower.look()

    async def _watch(self, standing: Standing) -> None:
        """Look at every nudge, and every few seconds in case one got lost."""
        while True:
            if self.query.follow and standing.is_running:
                self._note_activity()  # as with a terminal that is open
            is_looked_at_often = log_frames.is_being_prepared(self.environment)
            try:
                async with asyncio.timeout(LOOK_WAITING_S if is_looked_at_often else slots.RENEW_S):
                    await self.news.wait()
            except TimeoutError:
                pass
            self.news.clear()
            try:
                standing = await database_sync_to_async(self._look)()
            except Exception:
                log.exception("logs_look_failed")
                continue  # a database that is away for a moment ends no stream
            environment = standing.environment
            if not standing.is_session_live:
                return await self._refuse(Refused(*access.SESSION_REVOKED))
            if environment is None:
                return await self._refuse(Refused(*access.ENVIRONMENT_NOT_FOUND))
            if environment.phase == Phase.TERMINATED:
                return await self._finish(POLICY_VIOLATION, access.NOT_RUNNING[1], frames.status_update(environment))
            self.environment = environment
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
                await self._tell(frame)
