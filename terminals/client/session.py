"""One terminal session over as many WebSockets as it takes: connect, relay, and come back after a cut."""

from __future__ import annotations

import asyncio
import signal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from terminals.client import frames
from terminals.client.api import RETRYABLE, Api, Environment
from terminals.client.backoff import delays
from terminals.client.console import Console
from terminals.client.errors import ClientError, SignInRefused, Unreachable
from terminals.client.keyboard import Keyboard
from terminals.client.outbox import Outbox
from terminals.client.view import View
from terminals.client.worker import Worker

OPEN_LIMIT_S = 10
WELCOME_LIMIT_S = 40  # the server takes up to 30 s to check who we are (contract 9.1)
PING_S, PONG_LIMIT_S = 30, 20
CLOSE_LIMIT_S = 1.0
MESSAGE_MAX_BYTES = 1024 * 1024  # the server sends 16 KiB of output at most, up to six times that as JSON
STEADY_S = 10.0  # a connection that held so long has earned a first delay again
GIVE_UP_AFTER_S = 600.0
NORMAL, POLICY_VIOLATION = 1000, 1008  # contract 9.4; after any other code it is worth coming back
AUTHENTICATION_FAILED = "Authentication failed"


class Session:
    """`run` gives the exit status of the command."""

    def __init__(self, api: Api, environment: Environment, console: Console, *, name: str = "") -> None:
        self._api, self._environment, self._console, self._name = api, environment, console, name
        self.view = View(console, environment.name)
        self._outbox = Outbox()
        self._keyboard = Keyboard(console, self._outbox, self.view)
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
            self.view.cancel_notice()
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
                self._api.terminal_url(self._environment.id, session=self._name, resume=self.view.point),
                additional_headers={"Authorization": f"Bearer {self._api.access_token}"},
                compression="deflate",
                max_size=MESSAGE_MAX_BYTES,
                open_timeout=OPEN_LIMIT_S,
                ping_interval=PING_S,
                ping_timeout=PONG_LIMIT_S,
                close_timeout=CLOSE_LIMIT_S,
            ) as socket:
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
        return self._closed(socket.close_code, socket.close_reason or "")

    def _closed(self, code: int | None, reason: str) -> int | None:
        """What a close code means: the exit status, or None. Raises: ClientError, when refused."""
        if code == NORMAL:
            return 0
        if code != POLICY_VIOLATION:
            return None
        if reason == AUTHENTICATION_FAILED and self._api.can_refresh and not self._was_refreshed:
            self._was_refreshed = True  # once: a token that is fresh and refused won't get better
            self._api.expire()
            return None
        kind = SignInRefused if reason == AUTHENTICATION_FAILED else ClientError
        raise kind(f"{self._environment.name}: {self.view.trouble or reason or 'the server refused the terminal.'}")

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
                await self.view.show(frames.decode(raw))
                if self.view.is_welcome:
                    self._was_refreshed = False
                raw = await socket.recv()
        except ConnectionClosed:
            pass  # its code says why

    async def _send(self, socket: ClientConnection) -> None:
        """Sizes and keys, as long as there is a shell for them."""
        try:
            while True:
                await self.view.has_news.wait()
                self.view.has_news.clear()
                if not self.view.is_attached:
                    continue
                for frame in self.view.resizes():
                    await socket.send(frame)
                while self.view.is_attached and (text := self._outbox.first()):
                    await socket.send(frames.typed(text))
                    self._outbox.sent(text)
                    self._keyboard.has_room.set()
        except ConnectionClosed:
            pass  # what was not sent stays in the outbox
