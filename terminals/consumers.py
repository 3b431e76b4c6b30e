"""The terminal WebSocket (contract sections 9.1 to 9.4): a view of a stream of the hub.

Refusals are told inside the socket: one that is closed before it is accepted reaches the client as a bare HTTP 403,
and it redials for ever (contract T23).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import datetime
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from devpocket.errors import INTERNAL_ERROR_TEXT
from devpocket.nudges import environment_group, session_group
from devpocket.tasks import TaskOwner
from environments.idle import find_warned_stop
from environments.models import Environment
from environments.services import activity_record
from environments.ssh import HostKeyMismatch, SSHUnavailable
from terminals import access, frames, slots
from terminals.access import Access, Handshake, Refused, Standing, check_access, find_target, look_again, read_handshake
from terminals.hub import FIRST_SIZE, Viewer
from terminals.lifespan import hub
from terminals.protocol import BadFrame, Input, Ping, Resize, ResumePoint, parse_frame
from terminals.tmux import attach_command, session_name

log = structlog.get_logger(__name__)

AUTHENTICATION_LIMIT_S = 30  # contract 9.1
WELCOME_LIMIT_S = 1.5  # of 2: a machine that takes longer to answer is attached after the welcome
ATTACH_LIMIT_S = 30  # how long a running machine may stay silent before its terminal is given up
ATTACH_RETRY_S = 1.0
LOSSES_MAX = 5  # streams in a row that broke within ATTACH_LIMIT_S
ACTIVITY_EVERY_S = 60.0  # between two records of one socket that the environment is in use
LOOK_WAITING_S = 5.0  # status at least every 10 s while installing (contract 9.3); nudges come sooner
INPUT_LIMIT_S = 60  # a machine that takes no input for so long
SEND_LIMIT_S = 120  # a client that takes no output for so long is gone, even if its TCP still answers
FINISH_LIMIT_S = 5  # what a client that reads slowly gets to hear why it is closed
CLEAN_UP_LIMIT_S = 10
NORMAL, POLICY_VIOLATION, INTERNAL_ERROR = 1000, 1008, 1011
GONE = (OSError, RuntimeError)  # what uvicorn raises where the client, or it itself (1009), has closed the socket

Message = dict[str, Any]


class TerminalConsumer(AsyncWebsocketConsumer):
    """One client. Its tasks: `_serve` admits it and relays output, `_watch` follows its sign-in and environment.

    Handlers never wait, so that a nudge or a disconnect is never held up: what a message causes is waited for by
    `_next`, before the client's next message is asked for.
    """

    access: Access
    handshake: Handshake
    session: str

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TaskOwner()
        self.viewer: Viewer | None = None
        self.slot: str | None = None
        self.groups_joined: list[str] = []
        self.resume: ResumePoint | None = None
        self.size: tuple[int, int] | None = None  # the client's window, once it has told
        self.reply: str | None = None  # to the client's last message
        self.may_read = asyncio.Event()  # cleared from the handshake to the welcome, which comes before any reply
        self.may_read.set()
        self.news = asyncio.Event()  # something about this socket's row or sign-in has changed
        self.ready = asyncio.Event()  # the environment runs
        self.noted_at = float("-inf")  # when somebody was last seen to use the environment
        self.is_activity_new = False  # noted, not yet recorded
        self.stops_at: datetime | None = None  # for being idle, where its owner has been warned
        self.told_not_ready = False
        self.is_closing = False
        self._sending = asyncio.Lock()
        self._life: asyncio.Timeout | None = None

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        """Whatever ends the socket, disconnection, `_end`, the server's own stop or a bug: it is cleaned up after."""
        try:
            async with asyncio.timeout(None) as life:
                self._life = life
                await super().__call__(scope, lambda: self._next(receive), send)
        except TimeoutError:
            if not life.expired():
                raise
        finally:
            self._life = None
            self.is_closing = True
            await self._clean_up()

    async def _clean_up(self) -> None:
        try:
            async with asyncio.timeout(CLEAN_UP_LIMIT_S):
                await self.tasks.aclose()
                if self.viewer is not None:
                    hub.leave(self.viewer)
                if self.slot is not None:
                    await database_sync_to_async(slots.slot_free)(self.slot, self.channel_name)
                for group in self.groups_joined:
                    await self.channel_layer.group_discard(group, self.channel_name)
        except Exception:
            log.exception("terminal_clean_up_failed")

    def _end(self) -> None:
        """End this consumer now, whatever its socket does. The server closes the socket then."""
        self.is_closing = True
        life, self._life = self._life, None
        if life is not None:
            life.reschedule(asyncio.get_running_loop().time())

    # --- In and out

    async def _next(self, receive: Callable[[], Awaitable[Message]]) -> Message:
        """The client's next message, once what its last one asked for is done. Unread ones wait in the client."""
        await self.may_read.wait()
        if self.reply is not None:
            reply, self.reply = self.reply, None
            await self._tell(reply)
        if self.viewer is not None and not self.viewer.stream.is_writable:
            try:
                async with asyncio.timeout(INPUT_LIMIT_S):
                    await self.viewer.stream.writable()
            except TimeoutError:
                await self._refuse(Refused(*access.RATE_LIMITED))
        return await receive()

    async def _tell(self, frame: str) -> None:
        """Send a frame; waits while the socket is full. To a client that is gone it is nothing."""
        async with self._sending:
            if self.is_closing:
                return
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self.send(text_data=frame)
            except GONE:
                self._end()

    async def _refuse(self, refused: Refused) -> None:
        await self._finish(POLICY_VIOLATION, refused.reason, frames.error(refused.code, refused.message))

    async def _finish(self, code: int, reason: str, last: str) -> None:
        """Send a last frame, close, and end. Nothing is sent after it."""
        if self.is_closing:
            return
        self.is_closing = True
        try:
            async with asyncio.timeout(FINISH_LIMIT_S), self._sending:
                await self.send(text_data=last)
                await self.close(code=code, reason=reason)
        except GONE:
            pass
        finally:
            self._end()

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """A bug closes the socket; it never leaves it open with nobody behind it."""
        try:
            await work
        except Exception:
            log.exception("terminal_failed")
            await self._finish(INTERNAL_ERROR, "internal error", frames.error("internal_error", INTERNAL_ERROR_TEXT))

    # --- The client's messages

    async def connect(self) -> None:
        self.handshake = read_handshake(self.scope)
        self.resume = self.handshake.resume
        await self.accept(subprotocol=self.handshake.subprotocol)
        self.may_read.clear()
        welcome_by = asyncio.get_running_loop().time() + WELCOME_LIMIT_S
        self.tasks.start(self._guarded(self._serve(welcome_by)), name="terminal")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = parse_frame(text_data if text_data is not None else bytes_data or b"")
        except BadFrame as bad:
            self.reply = frames.error(bad.code, bad.message)
            return
        if isinstance(frame, Ping):
            self.reply = frames.pong()
        elif isinstance(frame, Resize):
            self.size = (frame.cols, frame.rows)
            if self.viewer is not None:
                self.viewer.stream.resize(*self.size)
        elif isinstance(frame, Input) and self.viewer is not None:
            self._note_activity()
            self.viewer.stream.write(frame.data)
        elif isinstance(frame, Input) and not self.told_not_ready:
            self.told_not_ready = True
            self.reply = frames.error("terminal_not_ready", "The terminal is not ready yet.")

    # --- Output

    async def _serve(self, welcome_by: float) -> None:
        """Admit the client, welcome it, attach as soon as the machine is ready, and relay until the shell ends.

        A machine that answers by `welcome_by` (the loop's time) is attached before the welcome, which then says so.
        """
        try:
            standing = await self._admit()
        except Refused as refused:
            return await self._refuse(refused)
        environment = standing.environment
        assert environment is not None  # noqa: S101 -- _admit() refuses without
        self.session = session_name(str(environment.pk), self.handshake.session)
        asked_for = self.resume
        attaching = self.tasks.start(self._guarded(self._attach()), name=f"attach-{environment.pk}")
        if standing.is_running:
            self.ready.set()
            await asyncio.wait({attaching}, timeout=max(0.0, welcome_by - asyncio.get_running_loop().time()))
        is_late = self.viewer is None
        await self._tell(frames.welcome(environment, session=self.session, stream=self._stream_point()))
        self.may_read.set()
        self.tasks.start(self._guarded(self._watch(standing)), name=f"watch-{environment.pk}")
        if not standing.is_running:
            await self._tell(frames.info("installing", f"{environment.name} is being prepared. This takes a moment."))
            await self._tell(frames.status_update(environment))
        await asyncio.wait({attaching})
        losses = 0
        while self.viewer is not None and not self.is_closing:
            if is_late or (asked_for is not None and asked_for.stream != self.viewer.stream.id):
                await self._tell(frames.info("reattached", "Connected.", stream=self._stream_point()))
            attached_at = time.monotonic()
            if await self._relay(self.viewer):
                return
            losses = losses + 1 if time.monotonic() - attached_at < ATTACH_LIMIT_S else 0
            if losses > LOSSES_MAX:
                return await self._give_up(SSHUnavailable("the machine keeps closing its terminal"))
            await asyncio.sleep(ATTACH_RETRY_S * max(0, losses - 1))
            await self._attach()
            is_late = True

    async def _admit(self) -> Standing:
        """The checks, in the contract's order (9.1). Raises: Refused."""
        try:
            async with asyncio.timeout(AUTHENTICATION_LIMIT_S):
                self.access = await database_sync_to_async(check_access)(self.handshake)
                self.slot = await database_sync_to_async(slots.slot_take)(self.access.user_id, self.channel_name)
                if self.slot is None:
                    raise Refused(*access.TOO_MANY_CONNECTIONS)
                # Before looking, so that no change falls in between.
                for group in (environment_group(self.access.environment.pk), session_group(self.access.session_id)):
                    self.groups_joined.append(group)
                    await self.channel_layer.group_add(group, self.channel_name)
                standing = await database_sync_to_async(look_again)(self.access)
        except TimeoutError as error:
            raise Refused(*access.AUTHENTICATION_FAILED) from error
        if not standing.is_session_live:
            raise Refused(*access.SESSION_REVOKED)
        if not (standing.is_running or standing.may_wait):
            raise Refused(*access.NOT_RUNNING)
        return standing

    async def _attach(self) -> None:
        """Wait for the environment to run and get a viewer of it. Where that is given up, the client has been told."""
        give_up_at: float | None = None
        while self.viewer is None and not self.is_closing:
            await self.ready.wait()
            target = await database_sync_to_async(find_target)(self.access)
            if target is None:  # it doesn't run any more: _watch finds out what that means
                give_up_at = None
                self.ready.clear()
                self.news.set()
                continue
            give_up_at = give_up_at or time.monotonic() + ATTACH_LIMIT_S
            point, self.resume = self.resume, None
            resumed = None if point is None else hub.resume(self.access.environment.pk, self.session, point)
            try:
                self.viewer = resumed or await hub.open(
                    self.access.environment.pk,
                    self.session,
                    target=target,
                    command=attach_command(self.session),
                    size=self.size or FIRST_SIZE,
                )
            except HostKeyMismatch as error:
                return await self._give_up(error)
            except SSHUnavailable as error:
                if time.monotonic() > give_up_at:
                    return await self._give_up(error)
                await asyncio.sleep(ATTACH_RETRY_S)
        self.told_not_ready = False
        if self.viewer is not None:
            self._note_activity()
        if self.viewer is not None and self.size is not None:
            self.viewer.stream.resize(*self.size)  # it may have changed meanwhile

    async def _relay(self, viewer: Viewer) -> bool:
        """Send output until the stream ends; False where the connection broke and attaching anew is worth it."""
        async with aclosing(viewer.follow()) as pieces:
            async for text, offset in pieces:
                self._note_activity()
                await self._tell(frames.output(text, offset))
        if viewer.replaced:
            await self._finish(NORMAL, "normal", frames.info("replaced", "This terminal was opened elsewhere."))
            return True
        if viewer.stream.shell_exited:
            await self._finish(NORMAL, "normal", frames.info("session_ended", "The session has ended."))
            return True
        hub.leave(viewer)
        self.viewer = None
        return False

    def _stream_point(self) -> dict[str, Any] | None:
        return None if self.viewer is None else {"id": self.viewer.stream.id, "offset": self.viewer.offset}

    async def _give_up(self, error: Exception) -> None:
        log.error("terminal_ssh_failed", environment=str(self.access.environment.pk), error=str(error))
        told = frames.error("ssh_failed", "The machine can't be reached. Please try again in a moment.")
        await self._finish(INTERNAL_ERROR, "internal error", told)

    # --- What happens to the sign-in and the environment meanwhile

    async def environment_changed(self, event: Message) -> None:
        self.news.set()

    async def session_revoked(self, event: Message) -> None:
        self.news.set()

    def _note_activity(self) -> None:
        """The environment is in use: input, output, or a terminal that is open. Recorded once in a while, the first
        time at once: what nobody has used for long may be about to be stopped.
        """
        now = time.monotonic()
        if now - self.noted_at >= ACTIVITY_EVERY_S:
            self.noted_at, self.is_activity_new = now, True
            self.news.set()

    async def _watch(self, standing: Standing) -> None:
        """Look at every nudge, and every few seconds in case one got lost."""
        shown = standing.environment
        told_stop: datetime | None = None
        while True:
            try:
                async with asyncio.timeout(LOOK_WAITING_S if _is_told_often(standing) else slots.RENEW_S):
                    await self.news.wait()
            except TimeoutError:
                pass
            if self.viewer is not None:
                self._note_activity()
            self.news.clear()
            try:
                standing = await database_sync_to_async(self._look)()
            except Exception:
                log.exception("terminal_look_failed")
                continue  # a database that is away for a moment ends no terminal
            environment = standing.environment
            if not standing.is_session_live:
                return await self._refuse(Refused(*access.SESSION_REVOKED))
            if environment is None:
                return await self._refuse(Refused(*access.ENVIRONMENT_NOT_FOUND))
            status = frames.status_update(environment)
            if not (standing.is_running or standing.may_wait):
                return await self._finish(POLICY_VIOLATION, access.NOT_RUNNING[1], status)
            if _is_told_often(standing) or shown is None or _news_of(shown) != _news_of(environment):
                # Not waited for: a client that reads nothing must not keep its own revocation from being noticed.
                self.tasks.start(self._tell(status), name="status")
            if self.stops_at is not None and self.stops_at != told_stop:
                self.tasks.start(self._tell(frames.idle_warning(environment, self.stops_at)), name="idle-warning")
            told_stop = self.stops_at
            shown = environment
            if standing.is_running:
                self.ready.set()
            else:
                self.ready.clear()

    def _look(self) -> Standing:
        """Sync: renew the slot, note activity, and read how things are."""
        if self.slot is not None:
            slots.slot_renew(self.slot, self.channel_name)
        if self.is_activity_new:
            activity_record(environment_id=self.access.environment.pk)
            self.is_activity_new = False
        standing = look_again(self.access)
        self.stops_at = None if standing.environment is None else find_warned_stop(standing.environment)
        return standing


def _is_told_often(standing: Standing) -> bool:
    """Whether it is being prepared or, behind the terminal, set up: its progress is shown (contract 9.3)."""
    return standing.may_wait or (standing.environment is not None and standing.environment.is_being_set_up)


def _news_of(environment: Environment) -> tuple[str, bool, str]:
    return environment.phase, environment.installation_completed, environment.install_error


class UnknownConsumer(AsyncWebsocketConsumer):
    """A path that isn't one of ours."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=frames.error("not_found", "There is nothing at this address."))
        await self.close(code=POLICY_VIOLATION, reason="Not found")
