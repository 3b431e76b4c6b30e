"""The terminal WebSocket (contract sections 9.1 to 9.4): a view of a stream of the hub.

Refusals are told inside the socket: one that is closed before it is accepted reaches the client as a bare HTTP 403,
and it redials for ever (contract T23).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from devpocket.nudges import environment_group, session_group
from devpocket.tasks import TaskOwner
from environments.services import activity_record
from environments.ssh import HostKeyMismatch, SSHUnavailable
from terminals import access, frames, slots
from terminals.access import Access, Handshake, Refused, Standing, check_access, look_again, read_handshake
from terminals.hub import Viewer
from terminals.lifespan import hub
from terminals.protocol import BadFrame, Input, Ping, Resize, parse_frame
from terminals.tmux import attach_command, session_name

log = structlog.get_logger(__name__)

AUTHENTICATION_LIMIT_S = 30  # contract 9.1
WELCOME_LIMIT_S = 1.5  # of 2: a machine that takes longer to answer is attached after the welcome
ATTACH_LIMIT_S = 30  # how long a running machine may stay silent before its terminal is given up
ATTACH_RETRY_S = 1.0
LOOK_WAITING_S = 5.0  # status at least every 10 s while installing (contract 9.3); nudges come sooner
INPUT_LIMIT_S = 60  # a machine that takes no input for so long
NORMAL, POLICY_VIOLATION, INTERNAL_ERROR = 1000, 1008, 1011


class TerminalConsumer(AsyncWebsocketConsumer):
    """One client. Its tasks: `_serve` attaches and relays output, `_watch` follows sign-in and environment."""

    access: Access
    handshake: Handshake

    async def connect(self) -> None:
        self.tasks = TaskOwner()
        self.viewer: Viewer | None = None
        self.slot: str | None = None
        self.news = asyncio.Event()  # something about this socket's row or sign-in has changed
        self.ready = asyncio.Event()  # the environment runs
        self.typed_at = self.recorded_at = 0.0
        self.told_not_ready = False
        self.is_closing = False
        self.handshake = read_handshake(self.scope)
        await self.accept(subprotocol=self.handshake.subprotocol)
        try:
            async with asyncio.timeout(AUTHENTICATION_LIMIT_S):
                self.access = await database_sync_to_async(check_access)(self.handshake)
                await self._take_slot()
                standing = await database_sync_to_async(look_again)(self.access)
            if not (standing.is_running or standing.may_wait):
                raise Refused(*access.NOT_RUNNING)
        except Refused as refused:
            return await self._refuse(refused)
        except TimeoutError:
            return await self._refuse(Refused(*access.AUTHENTICATION_FAILED))
        self.session = session_name(str(self.access.environment.pk), self.handshake.session)
        for group in self._groups():
            await self.channel_layer.group_add(group, self.channel_name)
        self.tasks.start(self._serve(standing), name=f"terminal-{self.access.environment.pk}")
        self.tasks.start(self._watch(standing), name=f"watch-{self.access.environment.pk}")

    async def _take_slot(self) -> None:
        self.slot = await database_sync_to_async(slots.slot_take)(self.access.user_id, self.channel_name)
        if self.slot is None:
            raise Refused(*access.TOO_MANY_CONNECTIONS)

    def _groups(self) -> tuple[str, str]:
        return environment_group(self.access.environment.pk), session_group(self.access.session_id)

    async def disconnect(self, code: int) -> None:
        self.is_closing = True
        await self.tasks.aclose()
        if self.viewer is not None:
            await hub.leave(self.viewer)
        if self.slot is not None:
            await database_sync_to_async(slots.slot_free)(self.slot)
        if hasattr(self, "session"):
            for group in self._groups():
                await self.channel_layer.group_discard(group, self.channel_name)

    async def tell(self, frame: str) -> None:
        """Send a frame; waits while the socket is full. To a client that is gone it is nothing."""
        try:
            await self.send(text_data=frame)
        except OSError:  # what the server raises then; disconnect() follows
            self.is_closing = True

    # --- Output

    async def _serve(self, standing: Standing) -> None:
        """Welcome the client, attach when the machine is ready, and relay until the shell ends."""
        if standing.is_running:
            try:
                async with asyncio.timeout(WELCOME_LIMIT_S):
                    self.viewer = await self._open(standing)
            except (TimeoutError, SSHUnavailable):
                pass  # a cold machine: after the welcome
            except HostKeyMismatch as error:
                return await self._give_up(error)
        environment = standing.environment
        assert environment is not None  # noqa: S101 -- connect() refuses without
        await self.tell(frames.welcome(environment, session=self.session, stream=self._stream_point()))
        if self.viewer is None and not standing.is_running:
            await self.tell(frames.info("installing", f"{environment.name} is being prepared. This takes a moment."))
            await self.tell(frames.status_update(environment))
        while not self.is_closing:
            if self.viewer is None:
                await self.ready.wait()
                if not await self._attach():
                    return
            if await self._relay(self.viewer):
                return

    async def _relay(self, viewer: Viewer | None) -> bool:
        """Send output until the stream ends; False where the connection broke and attaching anew is worth it."""
        assert viewer is not None  # noqa: S101 -- _attach() gave one
        async for text, offset in viewer.follow():
            await self.tell(frames.output(text, offset))
        if viewer.replaced:
            await self._finish(NORMAL, "normal", frames.info("replaced", "This terminal was opened elsewhere."))
            return True
        if viewer.stream.shell_exited:
            await self._finish(NORMAL, "normal", frames.info("session_ended", "The session has ended."))
            return True
        await hub.leave(viewer)
        self.viewer = None
        return False

    async def _attach(self) -> bool:
        """A new stream after the welcome, told to the client; False where it was given up."""
        give_up_at = time.monotonic() + ATTACH_LIMIT_S
        while True:
            standing = await database_sync_to_async(look_again)(self.access)
            if not standing.is_running:
                self.ready.clear()
                return True  # stopped meanwhile: _watch tells, and closes or waits
            try:
                self.viewer = await self._open(standing)
                break
            except HostKeyMismatch as error:
                await self._give_up(error)
                return False
            except SSHUnavailable as error:
                if time.monotonic() > give_up_at:
                    await self._give_up(error)
                    return False
                await asyncio.sleep(ATTACH_RETRY_S)
        await self.tell(frames.info("reattached", "Connected.", stream=self._stream_point()))
        return True

    async def _open(self, standing: Standing) -> Viewer:
        """Go on with the client's stream where it is still here, else open a new one."""
        environment_id, point = self.access.environment.pk, self.handshake.resume
        if point is not None and self.viewer is None:
            resumed = hub.resume(environment_id, self.session, point)
            if resumed is not None:
                return resumed
        assert standing.target is not None  # noqa: S101 -- is_running, so it has one
        return await hub.open(
            environment_id, self.session, target=standing.target, command=attach_command(self.session)
        )

    def _stream_point(self) -> dict[str, Any] | None:
        return None if self.viewer is None else {"id": self.viewer.stream.id, "offset": self.viewer.offset}

    async def _give_up(self, error: Exception) -> None:
        log.error("terminal_ssh_failed", environment=str(self.access.environment.pk), error=str(error))
        told = frames.error("ssh_failed", "The machine can't be reached. Please try again in a moment.")
        await self._finish(INTERNAL_ERROR, "internal error", told)

    # --- Input

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.is_closing:
            return
        try:
            frame = parse_frame(text_data if text_data is not None else bytes_data or b"")
        except BadFrame as bad:
            return await self.tell(frames.error(bad.code, bad.message))
        if isinstance(frame, Ping):
            await self.tell(frames.pong())
        elif self.viewer is None:
            if isinstance(frame, Input) and not self.told_not_ready:
                self.told_not_ready = True
                await self.tell(frames.error("terminal_not_ready", "The terminal is not ready yet."))
        elif isinstance(frame, Input):
            self.typed_at = time.monotonic()
            await self._write(self.viewer, frame.data)
        elif isinstance(frame, Resize):
            self.viewer.stream.resize(frame.cols, frame.rows)

    async def _write(self, viewer: Viewer, data: bytes) -> None:
        try:
            async with asyncio.timeout(INPUT_LIMIT_S):
                await viewer.stream.write(data)
        except TimeoutError:
            await self._refuse(Refused(*access.RATE_LIMITED))

    # --- What happens to the sign-in and the environment meanwhile

    async def environment_changed(self, event: dict[str, Any]) -> None:
        self.news.set()

    async def session_revoked(self, event: dict[str, Any]) -> None:
        self.news.set()

    async def _watch(self, standing: Standing) -> None:
        """Look at every nudge, and every few seconds in case one got lost."""
        shown = standing.environment
        while not self.is_closing:
            if standing.is_running:
                self.ready.set()
            else:
                self.ready.clear()
            self.news.clear()
            try:
                async with asyncio.timeout(slots.RENEW_S if standing.is_running else LOOK_WAITING_S):
                    await self.news.wait()
            except TimeoutError:
                pass
            standing = await database_sync_to_async(self._look)()
            if not standing.is_session_live:
                return await self._refuse(Refused(*access.SESSION_REVOKED))
            environment = standing.environment
            if environment is None:
                return await self._refuse(Refused(*access.ENVIRONMENT_NOT_FOUND))
            has_changed = shown is None or (environment.phase, environment.progress, environment.status_message) != (
                shown.phase,
                shown.progress,
                shown.status_message,
            )
            if has_changed or standing.may_wait:
                await self.tell(frames.status_update(environment))
            shown = environment
            if not (standing.is_running or standing.may_wait):
                return await self._finish(POLICY_VIOLATION, access.NOT_RUNNING[1])

    def _look(self) -> Standing:
        """Sync: renew the slot, note activity, and read how things are."""
        if self.slot is not None:
            slots.slot_renew(self.slot, self.channel_name)
        if self.typed_at > self.recorded_at:
            self.recorded_at = self.typed_at
            activity_record(environment_id=self.access.environment.pk)
        return look_again(self.access)

    # --- Endings

    async def _refuse(self, refused: Refused) -> None:
        await self._finish(POLICY_VIOLATION, refused.reason, frames.error(refused.code, refused.message))

    async def _finish(self, code: int, reason: str, last: str | None = None) -> None:
        if self.is_closing:
            return
        self.is_closing = True
        if last is not None:
            await self.tell(last)
        await self.close(code=code, reason=reason)


class UnknownConsumer(AsyncWebsocketConsumer):
    """A path that isn't one of ours."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=frames.error("not_found", "There is nothing at this address."))
        await self.close(code=POLICY_VIOLATION, reason="Not found")
