"""The terminal WebSocket (contract sections 9.1 to 9.4): a view of a stream of the hub."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import datetime
from typing import Any

import structlog
from channels.db import database_sync_to_async

from devpocket.cache import CacheAway
from devpocket.errors import DATABASE_AWAY
from devpocket.flags import Flag
from environments.idle import find_warned_stop
from environments.models import Environment
from environments.services import host_key_mismatch_record
from environments.ssh import HostKeyMismatch, SSHUnavailable, Target
from terminals import counters, frames
from terminals.access import Refused, Standing, TryAgain, find_target, look_again
from terminals.lifespan import hub
from terminals.models import OpenTerminal
from terminals.places import command_at, place_of, recorder_for
from terminals.protocol import ResumePoint
from terminals.socket_life import INTERNAL_ERROR, NORMAL, Message
from terminals.stream import FIRST_SIZE, Place, Stream, Viewer
from terminals.typing_socket import NOT_READY, TypingSocket

log = structlog.get_logger(__name__)

ATTACH_LIMIT_S = 30  # how long a running machine may stay silent before its terminal is given up
REATTACH_LIMIT_S = 180  # and one that was attached: somebody may have rebooted it from inside
ATTACH_RETRY_S = 1.0
LOSSES_MAX = 5  # streams in a row that broke within ATTACH_LIMIT_S
REPLACED = "This terminal was opened elsewhere."


class TerminalConsumer(TypingSocket):
    """One client at one stream after another: a broken connection to the machine is made again on the same socket."""

    kind = OpenTerminal.Kind.TERMINAL
    admits_guests = True

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.resume: ResumePoint | None = None
        self.ready = Flag()  # the environment runs
        self.target: Target | None = None  # as it was when the client was admitted
        self.told_news: tuple[str, bool, str] | None = None  # of the environment
        self.stops_at: datetime | None = None  # for being idle, where its owner has been warned
        self.told_stop: datetime | None = None

    def session_shown(self) -> str:
        return place_of(self.handshake, self.access).session or ""

    # --- Output

    async def serve(self, welcome_by: float) -> None:
        """Admit the client, welcome it, attach as soon as the machine is ready, and relay until the shell ends.

        A machine that answers by `welcome_by` (the loop's time) is attached before the welcome, which then says so.
        """
        try:
            is_late = await self._begin(welcome_by)
        except Refused as refused:
            return await self.refuse(refused)
        asked_for = self.handshake.resume
        losses = 0
        while self.viewer is not None and not self.is_closing:
            if is_late or (asked_for is not None and asked_for.stream != self.viewer.stream.id):
                await self._tell_reattached(asked_for)
            await self._tell_gap(self.viewer)
            asked_for = None
            attached_at = time.monotonic()
            if await self._relay(self.viewer):
                return
            losses = losses + 1 if time.monotonic() - attached_at < ATTACH_LIMIT_S else 0
            if losses > LOSSES_MAX:
                return await self._give_up(SSHUnavailable("the machine keeps closing its terminal"))
            await asyncio.sleep(ATTACH_RETRY_S * max(0, losses - 1))
            await self._attach(REATTACH_LIMIT_S)
            is_late = True

    async def _begin(self, welcome_by: float) -> bool:
        """Until it is attached, or that was given up; whether the welcome came before. Raises: Refused."""
        standing, self.target = await self.admit()
        environment = standing.environment
        assert environment is not None  # noqa: S101 -- admit() refuses without
        self.told_news = frames.news_of(environment)
        self.place = place_of(self.handshake, self.access)
        self.resume = self.handshake.resume
        attaching = self.start(self._attach, ATTACH_LIMIT_S, name=f"attach-{environment.pk}")
        if standing.is_running:
            self.ready.set()
            await asyncio.wait({attaching}, timeout=max(0.0, welcome_by - asyncio.get_running_loop().time()))
        is_late = self.viewer is None
        await self.tell(self._welcome(environment))
        self.may_read.set()
        self.watch(standing)
        if not standing.is_running:
            await self.tell(frames.info("installing", f"{environment.name} is being prepared. This takes a moment."))
            await self.tell(frames.status_update(environment))
        await asyncio.wait({attaching})
        return is_late

    def _welcome(self, environment: Environment) -> str:
        return frames.welcome(
            environment,
            session=self.place.session or frames.PLAIN,
            stream=self._stream_point(),
            is_view=self.is_view,
            is_guest=self.access.share is not None,
            recording=self._recording(),
            input_seq=self.numbered.seq,
        )

    async def _attach(self, limit_s: float) -> None:
        """Wait for the environment to run and get a viewer of it. Where that is given up, the client has been told.

        `limit_s`: how long a machine that runs may stay silent.
        """
        give_up_at: float | None = None
        told_away = limit_s == ATTACH_LIMIT_S  # the first time there is nothing to be away from
        while self.viewer is None and not self.is_closing:
            await self.ready.wait()
            try:
                target, self.target = self.target or await database_sync_to_async(self._find_target)(), None
            except DATABASE_AWAY:
                await asyncio.sleep(ATTACH_RETRY_S)
                continue
            if target is None:  # it doesn't run any more: _watch finds out what that means
                give_up_at = None
                self.ready.clear()
                self.news.set()
                continue
            give_up_at = give_up_at or time.monotonic() + limit_s
            try:
                viewer = await self._resumed() or await hub.open(
                    self.place, target=target, command=command_at(self.place), size=self.size or FIRST_SIZE
                )
            except HostKeyMismatch as error:
                await database_sync_to_async(host_key_mismatch_record)(environment_id=self.place.environment_id)
                return await self._give_up(error)
            except CacheAway:
                if time.monotonic() > give_up_at:
                    return await self.refuse(TryAgain())
                await asyncio.sleep(ATTACH_RETRY_S)
            except SSHUnavailable as error:
                if time.monotonic() > give_up_at:
                    return await self._give_up(error)
                if not told_away:
                    told_away = True
                    await self.tell(frames.info("machine_away", "The machine doesn't answer. It is being waited for."))
                await asyncio.sleep(ATTACH_RETRY_S)
            else:
                await self._take(viewer)
        self.told_not_ready = False
        if self.reply == NOT_READY:
            self.reply = None  # it is by now
        if self.viewer is not None:
            self.note_activity()
        self.resize_now()  # the size may have changed meanwhile

    async def _take(self, viewer: Viewer) -> None:
        try:
            await self._record(viewer.stream)
            await self.numbered.go_on(viewer.stream)
        except BaseException:
            hub.leave(viewer)
            raise
        self.viewer = viewer
        viewer.on_replaced = self._replaced
        if viewer.replaced:  # meanwhile
            self._replaced()

    def _find_target(self) -> Target | None:
        return find_target(look_again(self.access))

    async def _record(self, stream: Stream) -> None:
        """From its beginning, where the client or its owner's settings want that."""
        if stream.recorder is None:
            recorder = await recorder_for(self.handshake, self.access, self.size or FIRST_SIZE)
            if recorder is not None:
                stream.record(recorder)

    async def _resumed(self) -> Viewer | None:
        """The viewer of the stream that the client has named, while that can be gone on with; in whatever process."""
        point, self.resume = self.resume, None
        if point is None:
            return None
        viewer = hub.resume(self.place, point)
        known = "unknown" if hub.find(point.stream) is None else "missed"
        counters.resume("resumed" if viewer is not None else known)
        if viewer is None:
            try:
                await self.numbered.take_over(point.stream, self.place)
            except CacheAway:
                self.resume = point
                raise
        return viewer

    async def _relay(self, viewer: Viewer) -> bool:
        """Send output until the stream ends; False where the connection broke and attaching anew is worth it."""
        if self.handshake.is_binary:
            await self._relay_bytes(viewer)
        else:
            begin = viewer.offset
            async with aclosing(viewer.follow_text()) as pieces:
                async for texts in pieces:
                    self.note_activity()
                    counters.output_bytes(viewer.offset - begin)
                    begin = viewer.offset
                    await self.tell_all([frames.output(text, offset) for text, offset in texts])
        if viewer.replaced:
            return True
        if viewer.stream.shell_exited:
            await self.finish(NORMAL, "normal", frames.info("session_ended", "The session has ended."))
            return True
        hub.leave(viewer)
        self.viewer = None
        return False

    async def _relay_bytes(self, viewer: Viewer) -> None:
        """The client counts the bytes itself, so it is told where some were left out."""
        async with aclosing(viewer.follow_bytes()) as pieces:
            async for data in pieces:
                if data:
                    self.note_activity()
                    counters.output_bytes(len(data))
                    await self.tell_bytes(data)
                else:
                    await self.tell(frames.left_out(stream=self._stream_point()))

    async def _tell_reattached(self, asked_for: ResumePoint | None) -> None:
        counters.reattached()
        is_new = asked_for is not None and hub.has_exited(self.place, asked_for.stream)
        now = {"stream": self._stream_point(), "recording": self._recording(), "input_seq": self.numbered.seq}
        await self.tell(frames.reattached(is_new_session=is_new, **now))

    async def _tell_gap(self, viewer: Viewer) -> None:
        """Bytes are lost: the client's terminal is put in the state that the next ones need.

        What does that counts as the last of what is lost, so that who counts the bytes is right at every moment.
        """
        if not viewer.missed:
            return
        counters.replay_gap(viewer.missed)
        await self.tell(frames.lost_output(viewer.missed, stream=self._stream_point()))
        lead, viewer.lead = viewer.lead, b""
        if self.handshake.is_binary:
            await self.tell_bytes(lead)
        else:
            await self.tell_all([frames.output(lead.decode(), viewer.offset)])
        viewer.stream.redraw()

    def _stream_point(self) -> dict[str, Any] | None:
        """Where the next output begins."""
        viewer = self.viewer
        return None if viewer is None else {"id": viewer.stream.id, "offset": viewer.offset - len(viewer.lead)}

    def _recording(self) -> dict[str, str] | None:
        recorder = None if self.viewer is None else self.viewer.stream.recorder
        return None if recorder is None else {"id": str(recorder.id)}

    async def _give_up(self, error: Exception) -> None:
        log.error("terminal_ssh_failed", environment=str(self.access.environment_id), error=str(error))
        told = frames.error("ssh_failed", "The machine can't be reached. Please try again in a moment.")
        await self.finish(INTERNAL_ERROR, "internal error", told)

    # --- What happens meanwhile

    def stream_moved(self, event: Message) -> None:
        """The client has come back to another process."""
        if self.viewer is not None and self.viewer.stream.id == event["stream"]:
            hub.replace(self.viewer.stream)

    def _replaced(self) -> None:
        self.start(self._end_replaced, name="replaced")

    async def _end_replaced(self) -> None:
        """Now, whatever is being sent: that may wait for a client that is out of reach."""
        await self.numbered.aclose()  # first: another process may be waiting for it
        await self.finish(NORMAL, "normal", frames.info("replaced", REPLACED))

    def terminal_terminated(self, event: Message) -> None:
        """Nobody comes back to the stream; what runs in tmux goes on."""
        super().terminal_terminated(event)
        if self.viewer is not None:
            hub.end(self.viewer.stream)

    def may_stay(self, standing: Standing) -> bool:
        return standing.is_running or standing.may_wait

    def counts_as_use(self) -> bool:
        return self.access.share is None or not self.is_view

    def is_in_use(self) -> bool:
        return self.viewer is not None and self.counts_as_use()

    def looks_often(self, standing: Standing) -> bool:
        """While it is being prepared or, behind the terminal, set up: its progress is shown (contract 9.3)."""
        return standing.may_wait or (standing.environment is not None and standing.environment.is_being_set_up)

    def look(self) -> Standing:
        standing = super().look()
        self.stops_at = None if standing.environment is None else find_warned_stop(standing.environment)
        return standing

    def seen(self, standing: Standing) -> None:
        environment = standing.environment
        assert environment is not None  # noqa: S101 -- who stays has one
        # Not waited for: a client that reads nothing must not keep its own revocation from being noticed.
        news = frames.news_of(environment)
        if self.looks_often(standing) or self.told_news != news:
            self.start(self.tell, frames.status_update(environment), name="status")
        if self.stops_at is not None and self.stops_at != self.told_stop:
            self.start(self.tell, frames.idle_warning(environment, self.stops_at), name="idle-warning")
        self.told_stop, self.told_news = self.stops_at, news
        if standing.is_running:
            self.ready.set()
        else:
            self.ready.clear()

    async def leave(self) -> None:
        if self.resizing is not None:
            self.resizing.cancel()
        if self.viewer is not None:
            hub.leave(self.viewer)
        await self.numbered.aclose()
