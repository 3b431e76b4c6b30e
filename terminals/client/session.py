"""One terminal session over as many WebSockets as it takes: connect, relay, and come back after a cut."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from terminals.client import frames
from terminals.client.api import ANY, BINARY, RETRYABLE, Api, Environment, Wish
from terminals.client.backoff import delays
from terminals.client.console import Console
from terminals.client.errors import ClientError, SignInRefused, Unreachable
from terminals.client.keyboard import Keyboard
from terminals.client.notices import DROPPED, LOST
from terminals.client.outbox import Outbox
from terminals.client.pace import Pace
from terminals.client.view import View
from terminals.client.worker import Worker

OPEN_LIMIT_S = 10
WELCOME_LIMIT_S = 40  # the server takes up to 30 s to check who we are (contract 9.1)
PING_S, PONG_LIMIT_S = 30, 20
CLOSE_LIMIT_S = 1.0
MESSAGE_MAX_BYTES = 1024 * 1024  # the server sends 64 KiB of output at most
STEADY_S = 10.0  # a connection that held so long has earned a first delay again
GIVE_UP_AFTER_S = 600.0
NORMAL, POLICY_VIOLATION = 1000, 1008  # contract 9.4; after any other code it is worth coming back
AUTHENTICATION_FAILED = "Authentication failed"


class Session:
    """`run` gives the exit status of the command."""

    def __init__(self, api: Api, environment: Environment, console: Console, wish: Wish = ANY) -> None:
        self._api, self._environment, self._console, self._wish = api, environment, console, wish
        self.view = View(console, environment.name, is_view=wish.is_view)
        self._outbox, self._pace = Outbox(), Pace()
        self._keyboard = Keyboard(console, self._outbox, self.view)
        self._has_script_ended = False
        self._was_refreshed = False
        self._asker = Worker("api")

    async def run(self, *, timeout_s: float | None = None) -> int:
        """0 when left or ended, 128 and more for a signal. Raises: ClientError."""
        stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._listen_to_signals(stopped)
        self._console.set_raw(with_interrupt=True)
        tasks = {
            asyncio.create_task(self._stay_connected(), name="connection"),
            asyncio.create_task(self._keyboard.type(), name="keyboard"),
        }
        try:
            done, _ = await asyncio.wait({*tasks, stopped}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise ClientError(f"the session has not ended within {timeout_s:g} s.")
            return done.pop().result()
        finally:
            self.view.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CLOSE_LIMIT_S)  # a goodbye to the server, if it listens

    def _listen_to_signals(self, stopped: asyncio.Future[int]) -> None:
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            if not stopped.done():
                stopped.set_result(128 + number)

        def continued() -> None:  # the shell has set the terminal, and written on it, meanwhile
            self._console.set_again()
            self.view.redraw()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGWINCH, self.view.has_news.set)
        loop.add_signal_handler(signal.SIGCONT, continued)

    # --- Connections

    async def _stay_connected(self) -> int:
        loop = asyncio.get_running_loop()
        good_at, waits = loop.time(), delays()
        while True:
            began_at = loop.time()
            status = await self._connect()
            if status is not None:
                return status
            now = loop.time()
            if self.view.is_welcome:
                good_at = now
                if now - began_at > STEADY_S:
                    waits = delays()
            elif now - good_at > GIVE_UP_AFTER_S:
                trouble = f" {self.view.trouble}" if self.view.trouble else ""
                raise ClientError(f"no connection for {GIVE_UP_AFTER_S / 60:g} minutes.{trouble}")
            self.view.detach()
            self._keyboard.has_room.set()
            await asyncio.sleep(next(waits))

    async def _connect(self) -> int | None:
        """One WebSocket from beginning to end: the exit status, or None where it is worth coming back."""
        try:
            if self._api.needs_refresh:
                await self._asker.run(self._api.refresh)
            async with connect(
                self._api.terminal_url(self._environment.id, self._wish, resume=self.view.point),
                additional_headers=self._api.terminal_headers(),
                subprotocols=[Subprotocol(name) for name in self._api.terminal_subprotocols()],
                compression="deflate",
                max_size=MESSAGE_MAX_BYTES,
                open_timeout=OPEN_LIMIT_S,
                ping_interval=PING_S,
                ping_timeout=PONG_LIMIT_S,
                close_timeout=CLOSE_LIMIT_S,
            ) as socket:
                if socket.subprotocol != BINARY:
                    raise ClientError(f"{self._api.url} is too old for this client: it does not know {BINARY}.")
                await self._relay(socket)
        except Unreachable as error:
            self.view.trouble = str(error)
            return None
        except InvalidStatus as error:
            if error.response.status_code not in RETRYABLE:
                message = f"{self._api.url} refused the terminal with HTTP {error.response.status_code}."
                raise ClientError(message) from error
            return None
        except (OSError, TimeoutError, InvalidHandshake):
            return None
        if self._has_script_ended:
            return 0
        return self._closed(socket.close_code, socket.close_reason or "")

    def _closed(self, code: int | None, reason: str) -> int | None:
        """What a close code means: the exit status, or None. Raises: ClientError, when refused."""
        if code == NORMAL and self.view.ended_by == "replaced":
            raise ClientError(f"{self.view.name}: {self.view.farewell}")
        if code == NORMAL:
            return 0
        if code != POLICY_VIOLATION:
            return None
        if reason == AUTHENTICATION_FAILED and self._api.can_refresh and not self._was_refreshed:
            self._was_refreshed = True  # once: a token that is fresh and refused won't get better
            self._api.expire()
            return None
        kind = SignInRefused if reason == AUTHENTICATION_FAILED else ClientError
        raise kind(f"{self.view.name}: {self.view.trouble or reason or 'the server refused the terminal.'}")

    async def _relay(self, socket: ClientConnection) -> None:
        """Both directions, until the socket is closed. Raises: ClientError; TimeoutError, when no word comes."""
        sender = asyncio.create_task(self._send(socket), name="sender")
        receiver = asyncio.create_task(self._receive(socket), name="receiver")
        receiver.add_done_callback(lambda _: sender.cancel())
        try:
            # The sender may learn first that the socket is closed: the server's last words are still to be read.
            await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.wait({sender, receiver})
        for task in (receiver, sender):
            if not task.cancelled():
                task.result()

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            async with asyncio.timeout(WELCOME_LIMIT_S):
                raw = await socket.recv()
            while True:
                if isinstance(raw, bytes):
                    await self.view.output(raw)
                else:
                    self._hear(frames.decode(raw))
                if self._has_script_ended:
                    return
                raw = await socket.recv()
        except ConnectionClosed:
            pass  # its code says why

    def _hear(self, frame: dict[str, Any]) -> None:
        kind, code = frame.get("type"), frame.get("code")
        if kind == "ack":
            self._outbox.acknowledged(frames.number_of(frame, "seq"))
        elif kind == "welcome" or code == "reattached":
            self._outbox.start_over(frames.number_of(frame, "input_seq"))
        elif code == "rate_limited":
            self._pace.slow_down(frames.number_of(frame, "retry_after"))
        before = self.view.point
        self.view.show(frame)
        if code == "reattached":
            self._other_stream(frame, before)
        if self.view.is_view:
            self._outbox.forget()  # typed before it was known that nothing can be
        if self.view.is_welcome:
            self._was_refreshed = False
        self._keyboard.has_room.set()

    def _other_stream(self, frame: dict[str, Any], before: tuple[str, int] | None) -> None:
        """It may be of another shell. What was typed for the old one is not for that, least of all a script's rest."""
        has_ended = frame.get("is_new_session") is True
        point = frames.stream_point(frame)
        is_other = before is not None and point is not None and before[0] != point[0]
        is_lost = self._wish.is_plain and is_other  # a plain shell is only in its stream
        if not (has_ended or is_lost):
            return
        has_dropped = self._outbox.forget()
        if self._console.is_interactive:
            text = frames.text_of(frame, "message") if has_ended else LOST
            self.view.notice(f"{text} {DROPPED}" if has_dropped else text)
        elif has_ended:
            self._has_script_ended = True
        else:
            raise ClientError(f"{self.view.name}: the shell is lost, and with it what the script was doing.")

    async def _send(self, socket: ClientConnection) -> None:
        """Sizes and keys, as long as there is a shell for them."""
        self._pace.begin()  # each socket has an allowance of its own
        try:
            while True:
                await self.view.has_news.wait()
                self.view.has_news.clear()
                if not self.view.is_attached:
                    continue
                for frame in self.view.resizes():
                    await socket.send(frame)
                await self._type(socket)
        except ConnectionClosed:
            pass  # what was not acknowledged stays in the outbox

    async def _type(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(
                self._pace.rest_s()
            )  # while nothing is in our hands: meanwhile it may have to start over
            piece = self._outbox.next() if self.view.is_attached else None
            if piece is None:
                return
            message = frames.typed(*piece)
            self._pace.sent(len(message))
            await socket.send(message)
