"""What the server has said, and what of it is on the screen."""

from __future__ import annotations

import asyncio
from typing import Any

from terminals.client import frames
from terminals.client.console import Console
from terminals.client.errors import ClientError
from terminals.client.notices import HELP

NOTICE_AFTER_S = 0.8  # a shorter cut passes unseen


class View:
    """Outlives the sockets. It is `attached` while what is typed reaches a shell.

    A banner covers a row of the remote screen; with the connection back, tmux is made to draw it again.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self.has_news = asyncio.Event()  # for whoever sends: a size to tell, a shell that takes keys
        self.point: tuple[str, int] | None = None  # the stream, and how many bytes of it are on the screen
        self.is_attached = self.was_attached = False
        self.is_welcome = False  # on this socket: attached, or told to wait for the machine
        self.trouble = ""  # what is wrong, where that was the last that was heard
        self._is_covered = self._must_redraw = False
        self._told_size: tuple[int, int] | None = None
        self._away_notice: asyncio.TimerHandle | None = None

    # --- Frames of the server

    async def show(self, frame: dict[str, Any]) -> None:
        """Raises: ClientError, when the output can't be written."""
        kind, code = frame.get("type"), frame.get("code")
        self.trouble = frames.text_of(frame, "message") if kind == "error" else ""
        if kind == "error":
            if code == "terminal_not_ready":
                self.is_attached = False  # the connection to the machine broke; `reattached` follows
        elif kind == "output":
            await self._output(frame)
        elif kind == "welcome" or (kind == "info" and code == "reattached"):
            self._welcomed(frame)
        elif kind == "status_update":
            self._status(frame)

    async def _output(self, frame: dict[str, Any]) -> None:
        text, offset = frame.get("data"), frame.get("offset")
        if not isinstance(text, str):
            return
        try:
            await self._console.write(text)
        except OSError as error:
            raise ClientError("the output can't be written: nobody reads it any more.") from error
        if self.point is not None and isinstance(offset, int):
            self.point = (self.point[0], offset)

    def _welcomed(self, frame: dict[str, Any]) -> None:
        environment, point = frame.get("environment"), frames.stream_point(frame)
        if point is None:
            # Not installed yet; or it runs and is slow to answer, then `reattached` follows, or the end.
            self.is_welcome = isinstance(environment, dict) and environment.get("phase") != "running"
        else:
            self._attached(point)
        if self.is_welcome:
            self.cancel_notice()

    def _attached(self, point: tuple[str, int]) -> None:
        if self._is_covered and self.point is not None and point[0] == self.point[0]:
            self._must_redraw = True
        self._is_covered = False  # and a new stream begins with the whole screen
        self.point = point
        self._told_size = None
        self.is_attached = self.was_attached = self.is_welcome = True
        self._console.wipe_status()
        self._console.set_raw(with_interrupt=False)
        self.has_news.set()

    def _status(self, frame: dict[str, Any]) -> None:
        status, progress = frames.text_of(frame, "status"), frame.get("progress")
        is_running = status == "running"
        percent = f" {progress} %" if isinstance(progress, int) and not is_running else ""
        text = f"{self._name}: {frames.text_of(frame, 'message') or status}{percent}"
        if not self.was_attached:
            self._console.status(text)
        elif is_running:
            self.uncover()
        else:
            self._cover(text)

    # --- What the server is told of the screen

    def resizes(self) -> list[str]:
        """Frames that make the remote screen as large as ours, and drawn again where that is needed."""
        cols, rows = size = self._console.size()
        if self._must_redraw:
            self._must_redraw, self._told_size = False, size
            # tmux draws everything anew for a size that changes; there is no frame that asks for it.
            return [frames.resize(cols, rows - 1 if rows > 1 else 2), frames.resize(cols, rows)]
        if size == self._told_size:
            return []
        self._told_size = size
        return [frames.resize(cols, rows)]

    # --- Banners

    def help(self) -> None:
        self._cover(HELP)

    def uncover(self) -> None:
        """Wipe a banner, where somebody is there to draw what it covers."""
        if self._is_covered and self.is_attached:
            self._is_covered = False
            self.redraw()

    def redraw(self) -> None:
        self._must_redraw = True
        self.has_news.set()

    def _cover(self, text: str) -> None:
        self._is_covered = self._console.can_draw
        self._console.banner(text)

    def detach(self) -> None:
        """The socket is gone. The user hears of it when it lasts."""
        self.is_attached = self.is_welcome = False
        if self._away_notice is None:
            self._away_notice = asyncio.get_running_loop().call_later(NOTICE_AFTER_S, self._tell_away)

    def _tell_away(self) -> None:
        text = f"connection lost, reconnecting… {self.trouble}".rstrip()
        if not self.was_attached:
            self._console.status(text)
        elif self._console.is_interactive:
            self._cover(f"{text} (~. leaves)")
        else:
            self._cover(text)

    def cancel_notice(self) -> None:
        if self._away_notice is not None:
            self._away_notice.cancel()
            self._away_notice = None
