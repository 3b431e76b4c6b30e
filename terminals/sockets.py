"""What all WebSockets have in common: who gets in, for how long, and how it ends.

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
from typing import Any, ClassVar, Generic, TypeVar

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
from terminals import access, counters, frames, slots
from terminals.access import Refused, TryAgain
from terminals.handshake import Handshake, read_handshake
from terminals.limits import FINE, Allowance
from terminals.protocol import BadFrame, parse_ping
from terminals.socket_life import GONE, LivingSocket, Message

log = structlog.get_logger(__name__)

AUTHENTICATION_LIMIT_S = 30  # contract 9.1
WELCOME_LIMIT_S = 1.5  # of 2: a machine that takes longer to answer is attached after the welcome
LOOK_OFTEN_S = 5.0  # status at least every 10 s while installing (contract 9.3); nudges come sooner
CLEAN_UP_LIMIT_S = 10
LISTEN_RETRY_S = 2.0
JOIN_LIMIT_S = 2.0

Found = TypeVar("Found")  # what a look at the rows gives
Given = TypeVar("Given")


class ClientSocket(LivingSocket, ABC, Generic[Found]):
    """One client. Its tasks: `serve` admits it and relays to it, `_watch` follows its sign-in and what it is shown,
    `_hear` takes nudges. Its messages are read one by one, each when what the last one asked for is done, so unread
    ones wait in the client.
    """

    __slots__ = ("allowance", "groups_joined", "handshake", "is_joined", "may_read", "news", "reply")

    kind: ClassVar[str]
    admits_guests: ClassVar[bool] = False
    gather_s: ClassVar[float] = 0.0  # after a nudge, before the look: a burst of them costs one
    too_many: ClassVar[tuple[str, str, str]] = access.TOO_MANY_CONNECTIONS

    handshake: Handshake
    lines: SocketLines

    def __init__(self) -> None:
        super().__init__()
        self.bytes_in = 0  # of messages, unpacked
        self.groups_joined: list[str] = []
        self.is_joined = False  # to all of them
        self.reply: str | None = None  # to the client's last message
        self.may_read = Flag()  # set by the welcome, which comes before any reply
        self.news = Flag()  # something about this socket's rows or sign-in has changed
        self.allowance = Allowance(
            time.monotonic(), input_burst=settings.WS_INPUT_BURST, input_per_s=settings.WS_INPUT_RATE
        )

    # --- What a kind of socket does

    @abstractmethod
    async def serve(self, welcome_by: float) -> None:
        """Admit the client and serve it. The welcome is due at `welcome_by`, the loop's time."""

    def take(self, raw: str | bytes) -> None:
        """One message of the client. Never waits. Here: of one that has nothing to say."""
        if self.allowance.said(time.monotonic()):
            return
        try:
            parse_ping(raw)
        except BadFrame as bad:
            self.reply = frames.error(bad.code, bad.message)
        else:
            self.reply = frames.pong()

    async def caught_up(self) -> None:
        """Wait until what the last message asked for is done."""

    @abstractmethod
    def identify(self) -> None:
        """Sync: who it is, by the handshake. Raises: Refused."""

    @abstractmethod
    def groups(self) -> list[str]:
        """Of whom it hears, once it is known who it is."""

    def about_to_look(self) -> None:
        """Before each look. Never waits."""

    @abstractmethod
    def look(self) -> Found:
        """Sync: read how things are."""

    @abstractmethod
    async def goes_on(self, found: Found) -> bool:
        """Whether it may stay. If not, it has been told and closed."""

    @abstractmethod
    def seen(self, found: Found) -> None:
        """How things are after each look. Never waits."""

    def looks_often(self, found: Found) -> bool:
        return False

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
            if self.allowance.verdict is not FINE:
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
        """Each step also where one before it has failed. Its slot first: the client may be back in a moment."""
        sign_off = database_sync_to_async(self.sign_off)
        for step in (self._free_slot, self.tasks.aclose, self.leave, sign_off, self._leave_groups):
            try:
                async with asyncio.timeout(CLEAN_UP_LIMIT_S):
                    await step()
            except Exception:
                log.exception("socket_clean_up_failed")

    async def _free_slot(self) -> None:
        if slots.is_held(self.channel_name):
            await database_sync_to_async(slots.slot_free)(self.channel_name)

    async def _leave_groups(self) -> None:
        with suppress(OSError, RedisError):  # groups forget their members by themselves, too
            for group in self.groups_joined:
                await self.channel_layer.group_discard(group, self.channel_name)

    def sign_off(self) -> None:
        """Sync. Nothing of it runs any more, so a slot that it took while it was being ended is the last one."""
        slots.slot_free(self.channel_name)

    # --- Getting in

    async def refuse(self, refused: Refused) -> None:
        if not self.may_read.is_set():
            counters.socket_refused(self.kind, refused.code)
        more = {} if refused.retry_after_s is None else {"retry_after": refused.retry_after_s}
        await self.finish(refused.close_code, refused.reason, frames.error(refused.code, refused.message, **more))

    async def let_in(self, sign_on: Callable[[], Given]) -> Given:
        """Who it is; then what `sign_on`, sync, gives, once it has checked the rest in the contract's order (9.1) and
        taken the slot. Raises: Refused.
        """
        try:
            async with asyncio.timeout(AUTHENTICATION_LIMIT_S):
                if access.asks_nobody(self.handshake, admits_guests=self.admits_guests):
                    self.identify()
                else:
                    await database_sync_to_async(self.identify)()
                self.handshake = self.handshake.without_credentials()  # nor are they kept for as long as it is open
                # Before looking, so that no change falls in between.
                self.groups_joined = self.groups()
                await self._join()
                return await database_sync_to_async(sign_on)()
        except (TimeoutError, CacheAway, *DATABASE_AWAY) as error:
            log.exception("socket_not_admitted")
            raise TryAgain from error

    def take_slot(self, counts_as: str) -> None:
        """Sync. `counts_as`: whose connections this one is counted with. Raises: Refused."""
        if not slots.slot_take(counts_as, self.channel_name):
            raise Refused(*self.too_many)

    # --- What happens to the sign-in and the rows meanwhile

    def environment_changed(self, event: Message) -> None:
        self.news.set()

    def session_revoked(self, event: Message) -> None:
        self.news.set()

    def watch(self, found: Found) -> None:
        self.start(self._watch, self.looks_often(found), name="watch")

    async def _watch(self, is_often: bool) -> None:
        """Look at every nudge, and every few seconds in case one got lost."""
        while True:
            try:
                async with asyncio.timeout(self.pause_s(is_often=is_often)):
                    await self.news.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(self.gather_s)
            self.about_to_look()
            self.news.clear()
            if not self.is_joined:
                await self._join()
            try:
                found = await database_sync_to_async(self._look)()
            except Exception:
                log.exception("socket_look_failed")
                continue  # a database that is away for a moment ends no socket
            if not await self.goes_on(found):
                return
            self.seen(found)
            is_often = self.looks_often(found)
            del found  # its rows aren't kept meanwhile

    def _look(self) -> Found:
        slots.slot_renew(self.channel_name)
        return self.look()

    def pause_s(self, *, is_often: bool) -> float:
        """The longest time between two looks."""
        return LOOK_OFTEN_S if is_often else slots.RENEW_S
