"""From the keyboard, or the script in its place, to the outbox."""

from __future__ import annotations

import asyncio
import codecs
import signal

from terminals.client.console import Console
from terminals.client.escape import Command, EscapeParser
from terminals.client.outbox import Outbox
from terminals.client.view import View


class Keyboard:
    """`type` returns when the user leaves. `has_room` is set by whoever empties the outbox, or ends a socket."""

    def __init__(self, console: Console, outbox: Outbox, view: View) -> None:
        self._console, self._outbox, self._view = console, outbox, view
        self.has_room = asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # invalid bytes have no place in JSON

    async def type(self) -> int:
        """The exit status. A script does not end it: that is for the shell to do, which may still be at work."""
        if self._console.is_interactive:
            return await self._keys()
        while data := await self._console.read():
            await self._put(data)
        await self._put(b"", final=True)
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await never

    async def _keys(self) -> int:
        parser = EscapeParser()
        while data := await self._console.read():
            self._view.uncover()
            parser.anywhere = self._view.is_view  # nothing is typed, so there are no lines
            for part in parser.feed(data):
                if part is Command.LEAVE:
                    return 0
                if part is Command.HELP:
                    self._view.help()
                elif self._view.is_view:
                    self._console.bell()
                elif isinstance(part, bytes):
                    await self._put(part)
        return 128 + signal.SIGHUP

    async def _put(self, data: bytes, *, final: bool = False) -> None:
        """Hand over, and wait while too much has not arrived. While cut off keys are dropped instead: `~.` must be
        heard. One who looks on types nothing.
        """
        if self._view.is_view:
            return
        self._outbox.put(self._decoder.decode(data, final))
        self._view.has_news.set()
        while self._outbox.is_full:
            if self._console.is_interactive and not self._view.is_attached:
                self._outbox.forget_surplus()
                return self._console.bell()
            self.has_room.clear()
            await self.has_room.wait()
