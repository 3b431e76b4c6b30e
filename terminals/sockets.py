"""What the terminal's and the logs' WebSockets have in common: who gets in, for how long, and how it ends.

Refusals are told inside the socket: one that is closed before it is accepted reaches the client as a bare HTTP 403,
and it redials for ever (contract T23).
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

import structlog
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from devpocket.access_log import SocketLines
from devpocket.cache import CacheAway
from devpocket.errors import DATABASE_AWAY
from devpocket.flags import Flag
from devpocket.logs import about
from devpocket.nudges import environment_group, session_group, share_group
from environments.services import activity_record
from environments.ssh import Target
from terminals import access, counters, frames, slots
from terminals.access import Access, Refused, Standing, TryAgain, check_access, find_target, look_again
from terminals.handshake import Handshake, read_handshake
from terminals.limits import Allowance
from terminals.models import Mode, OpenTerminal
from terminals.presence import terminal_closed, terminal_opened
from terminals.socket_life import GONE, POLICY_VIOLATION, LivingSocket, Message

log = structlog.get_logger(__name__)

AUTHENTICATION_LIMIT_S = 30  # contract 9.1
WELCOME_LIMIT_S = 1.5  # of 2: a machine that takes longer to answer is attached after the welcome
ACTIVITY_EVERY_S = 60.0  # between two records of one socket that the environment is in use
LOOK_OFTEN_S = 5.0  # status at least every 10 s while installing (contract 9.3); nudges come sooner
CLEAN_UP_LIMIT_S = 10
LISTEN_RETRY_S = 2.0
JOIN_LIMIT_S = 2.0


class ClientSocket(LivingSocket, ABC):
    """One client. Its tasks: `serve` admits it and relays to it, `_watch` follows its sign-in and environment,
    `_hear` takes nudges. Its messages are read one by one, each when what the last one asked for is done, so unread
    ones wait in the client.
    """

    __slots__ = (
        *("access", "allowance", "groups_joined", "handshake", "is_activity_new", "is_joined", "may_read", "news"),
        *("noted_at", "reply", "slot"),
    )

    kind: ClassVar[OpenTerminal.Kind]
    admits_guests: ClassVar[bool] = False

    access: Access
    handshake: Handshake
    lines: SocketLines

    def __init__(self) -> None:
        super().__init__()
        self.slot: str | None = None
        self.bytes_in = 0  # of messages, unpacked
        self.groups_joined: list[str] = []
        self.is_joined = False  # to all of them
        self.reply: str | None = None  # to the client's last message
        self.may_read = Flag()  # set by the welcome, which comes before any reply
        self.news = Flag()  # something about this socket's row or sign-in has changed
        self.noted_at = float("-inf")  # when somebody was last seen to use the environment
        self.is_activity_new = False  # noted, not yet recorded
        self.allowance = Allowance(
            time.monotonic(), input_burst=settings.WS_INPUT_BURST, input_per_s=settings.WS_INPUT_RATE
        )

    # --- What a kind of socket does

    @abstractmethod
    async def serve(self, welcome_by: float) -> None:
        """Admit the client and serve it. The welcome is due at `welcome_by`, the loop's time."""

    @abstractmethod
    def take(self, raw: str | bytes) -> None:
        """One message of the client. Never waits."""

    async def caught_up(self) -> None:
        """Wait until what the last message asked for is done."""

    @abstractmethod
    def may_stay(self, standing: Standing) -> bool:
        """Whether the environment is in a phase in which there is something to see."""

    def seen(self, standing: Standing) -> None:
        """The environment after each look. Never waits."""

    def counts_as_use(self) -> bool:
        """Whether this socket, open and nothing more, is use of the environment while that runs."""
        return True

    @abstractmethod
    def is_in_use(self) -> bool:
        """Whether it is now."""

    def looks_often(self, standing: Standing) -> bool:
        return False

    def look(self) -> Standing:
        """Sync: renew the slot, note activity, and read how things are."""
        if self.slot is not None:
            slots.slot_renew(self.slot, self.channel_name)
        self._record_activity()
        return look_again(self.access)

    def _record_activity(self) -> None:
        if self.is_activity_new:
            activity_record(environment_id=self.access.environment_id)
            self.is_activity_new = False

    async def leave(self) -> None:
        """Let go of what it holds. Called once, whatever has ended it."""

    # --- From the beginning to the end

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        """Whatever ends the socket, disconnection, `_end`, the server's own stop or a bug: it is cleaned up after.

        Channels' own loop is left out: it starts a task and hops to a thread for every message, which is most of what
        a keystroke would cost.
        """
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer()
        self.channel_name = await self.channel_layer.new_channel()
        self.lines = SocketLines(scope, self.kind)
        try:
            await self.live(self._read, receive)
        finally:
            try:
                await self._clean_up()
            finally:
                self.lines.closed(self.close_code, self.close_reason, bytes_in=self.bytes_in, bytes_out=self.bytes_out)

    async def _read(self, receive: Callable[[], Awaitable[Message]]) -> None:
        await receive()  # websocket.connect
        self.handshake = read_handshake(self.scope)
        try:
            await self.accept(subprotocol=self.handshake.subprotocol)
        except GONE:
            return
        welcome_by = asyncio.get_running_loop().time() + WELCOME_LIMIT_S
        self.start(self._hear, name="nudges")
        self.start(self.serve, welcome_by, name="serve")
        await self.may_read.wait()
        about(user_id=self.lines.user_id)
        while True:
            if self.reply is not None:
                reply, self.reply = self.reply, None
                await self.tell(reply)
            await self.caught_up()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.close_code = self.close_code or message.get("code")
                return
            text = message.get("text")
            raw = text if text is not None else message["bytes"]
            self.bytes_in += len(raw)
            self.take(raw)
            await self._slowed_down()

    async def _slowed_down(self) -> None:
        """Too much is delayed or dropped, and said so once (contract 9.6)."""
        verdict = self.allowance.verdict
        if verdict.is_too_long:
            return await self.refuse(Refused(*access.RATE_LIMITED))
        if verdict.is_new:
            retry_after = max(1, math.ceil(verdict.retry_after_s))
            await self.tell(frames.error("rate_limited", "Too much at once.", retry_after=retry_after))
        if verdict.wait_s:
            await asyncio.sleep(verdict.wait_s)

    async def _hear(self) -> None:
        """Nudges from anywhere. Each has a method of its name, which never waits.

        Without the channel layer a socket goes on: it also looks by itself.
        """
        is_away = False
        while True:
            try:
                message = await self.channel_layer.receive(self.channel_name)
            except (OSError, RedisError) as error:
                if not is_away:
                    log.warning("nudges_not_heard", error=f"{type(error).__name__}: {error}")
                is_away, self.is_joined = True, False  # the layer may have forgotten who is where
                await asyncio.sleep(LISTEN_RETRY_S)
                self.news.set()
                continue
            is_away = False
            handler = getattr(self, message["type"].replace(".", "_"), None)
            if handler is not None:
                handler(message)

    async def _join(self) -> None:
        """What fails is made up for: `_watch` joins before it looks."""
        with suppress(OSError, RedisError):
            async with asyncio.timeout(JOIN_LIMIT_S):
                for group in self.groups_joined:
                    await self.channel_layer.group_add(group, self.channel_name)
                self.is_joined = True

    async def _clean_up(self) -> None:
        """Each step also where one before it has failed."""
        sign_off = database_sync_to_async(self._sign_off)
        for step in (self.tasks.aclose, self.leave, sign_off, self._leave_groups):
            try:
                async with asyncio.timeout(CLEAN_UP_LIMIT_S):
                    await step()
            except Exception:
                log.exception("terminal_clean_up_failed")

    async def _leave_groups(self) -> None:
        with suppress(OSError, RedisError):  # groups forget their members by themselves, too
            for group in self.groups_joined:
                await self.channel_layer.group_discard(group, self.channel_name)

    def _sign_off(self) -> None:
        """Its place first: the client may be back in a moment."""
        if self.slot is not None:
            slots.slot_free(self.slot, self.channel_name)
        self._record_activity()
        terminal_closed(channel_name=self.channel_name)

    # --- Getting in

    async def refuse(self, refused: Refused) -> None:
        if not self.may_read.is_set():
            counters.socket_refused(self.kind, refused.code)
        more = {} if refused.retry_after_s is None else {"retry_after": refused.retry_after_s}
        await self.finish(refused.close_code, refused.reason, frames.error(refused.code, refused.message, **more))

    async def admit(self) -> tuple[Standing, Target | None]:
        """The checks, in the contract's order (9.1); and how to reach the machine, if it runs. Raises: Refused."""
        try:
            async with asyncio.timeout(AUTHENTICATION_LIMIT_S):
                await database_sync_to_async(self._check)()
                if self.slot is None:
                    raise Refused(*access.TOO_MANY_CONNECTIONS)
                who = self.access
                assert who.session_id is not None or who.share is not None  # noqa: S101 -- either got it in
                own = share_group(who.share.pk) if who.share is not None else session_group(who.session_id)
                # Before looking, so that no change falls in between.
                self.groups_joined = [environment_group(who.environment_id), own]
                await self._join()
                standing, target = await database_sync_to_async(self._sign_on)()
        except (TimeoutError, CacheAway, *DATABASE_AWAY) as error:
            log.exception("terminal_not_admitted")
            raise TryAgain from error
        if not standing.is_admitted:
            raise Refused(*self._why_not())
        if not self.may_stay(standing):
            raise Refused(*access.NOT_RUNNING)
        share = self.access.share
        self.lines.opened(
            user_id=self.access.owner_id if share is None else None,
            share=None if share is None else str(share.pk),
            mode=str(Mode.VIEW if self.is_view else Mode.WRITE),
        )
        return standing, target

    def _check(self) -> None:
        self.access = check_access(self.handshake, admits_guests=self.admits_guests)
        self.handshake = self.handshake.without_credentials()  # nor are they kept for as long as it is open
        self.slot = slots.slot_take(self.access.counts_as, self.channel_name)

    def _sign_on(self) -> tuple[Standing, Target | None]:
        standing = look_again(self.access)
        if not standing.is_admitted or not self.may_stay(standing):
            return standing, None
        terminal_opened(
            channel_name=self.channel_name,
            kind=self.kind,
            user_id=None if self.access.share is not None else self.access.owner_id,
            share_id=None if self.access.share is None else self.access.share.pk,
            environment_id=self.access.environment_id,
            session=self.session_shown(),
            mode=Mode.VIEW if self.is_view else Mode.WRITE,
        )
        if standing.is_running and self.counts_as_use():
            self.noted_at = time.monotonic()  # with the rest of it: no look of its own
            activity_record(environment_id=self.access.environment_id)
        return standing, find_target(standing)

    @property
    def is_view(self) -> bool:
        return True

    def session_shown(self) -> str:
        """tmux's name for what is open here, for operators."""
        return ""

    def _why_not(self) -> tuple[str, str, str]:
        return access.SESSION_REVOKED if self.access.share is None else access.SHARE_ENDED

    # --- What happens to the sign-in and the environment meanwhile

    def environment_changed(self, event: Message) -> None:
        self.news.set()

    def session_revoked(self, event: Message) -> None:
        self.news.set()

    def share_revoked(self, event: Message) -> None:
        self.news.set()

    def terminal_terminated(self, event: Message) -> None:
        self.start(self.refuse, Refused(*access.TERMINATED), name="terminated")

    def note_activity(self) -> None:
        """The environment is in use: input, output, or a terminal that is open. Recorded once in a while, the first
        time at once: what nobody has used for long may be about to be stopped.
        """
        now = time.monotonic()
        if now - self.noted_at >= ACTIVITY_EVERY_S and self.counts_as_use():
            self.noted_at, self.is_activity_new = now, True
            self.news.set()

    def watch(self, standing: Standing) -> None:
        self.start(self._watch, self.looks_often(standing), name=f"watch-{self.access.environment_id}")

    async def _watch(self, is_often: bool) -> None:
        """Look at every nudge, and every few seconds in case one got lost."""
        while True:
            try:
                async with asyncio.timeout(self._pause_s(is_often)):
                    await self.news.wait()
            except TimeoutError:
                pass
            if self.is_in_use():
                self.note_activity()
            self.news.clear()
            if not self.is_joined:
                await self._join()
            try:
                standing = await database_sync_to_async(self.look)()
            except Exception:
                log.exception("terminal_look_failed")
                continue  # a database that is away for a moment ends no terminal
            if not standing.is_admitted:
                return await self.refuse(Refused(*self._why_not()))
            if standing.environment is None:
                return await self.refuse(Refused(*access.ENVIRONMENT_NOT_FOUND))
            if not self.may_stay(standing):
                status = frames.status_update(standing.environment)
                return await self.finish(POLICY_VIOLATION, access.NOT_RUNNING[1], status)
            self.seen(standing)
            is_often = self.looks_often(standing)
            del standing  # its row isn't kept meanwhile

    def _pause_s(self, is_often: bool) -> float:
        pause_s = LOOK_OFTEN_S if is_often else slots.RENEW_S
        if self.access.ends_at is None:
            return pause_s
        return min(pause_s, max(0.1, (self.access.ends_at - datetime.now(UTC)).total_seconds() + 0.1))
