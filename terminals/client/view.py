"""What the server has said, and what of it is on the screen."""

from __future__ import annotations

import asyncio
from typing import Any

from terminals.client import frames
from terminals.client.console import Console
from terminals.client.errors import ClientError
from terminals.client.notices import HELP, LOOKING_ON

AWAY_NOTICE_AFTER_S = 0.8  # a shorter cut passes unseen
NOTICE_AFTER_S = 0.5  # after that a screen which begins anew is drawn, and what is said over it stays
# What the server says that somebody at the terminal should know of, and that does not end it.
TOLD = ("lost_output", "idle_warning", "rate_limited", "view_only")


class View:
    """Outlives the sockets. It is `attached` while what is typed reaches a shell.

    A banner covers a row of the remote screen; with the connection back, tmux is made to draw it again.
    """

    def __init__(self, console: Console, name: str, *, is_view: bool = False) -> None:
        self._console, self.name = console, name
        self.is_view = is_view  # only looks on: as it was asked for, or as the server has it
        self.has_news = asyncio.Event()  # for whoever sends: a size to tell, a shell that takes keys
        self.point: tuple[str, int] | None = None  # the stream, and how many bytes of it are on the screen
        self.is_attached = self.was_attached = False
        self.is_welcome = False  # on this socket: attached, or told to wait for the machine
        self.trouble = ""  # what is wrong, where that was the last that was heard
        self.ended_by, self.farewell = "", ""  # the code and the words of the end, where the server has told one
        self.recordings: list[str] = []  # ids of what is recorded here, one for each stream
        self._is_covered = self._must_redraw = False
        self._told_size: tuple[int, int] | None = None
        self._away_notice: asyncio.TimerHandle | None = None
        self._notices: list[str] = []
        self._next_notice: asyncio.TimerHandle | None = None

    # --- What comes from the server

    async def output(self, data: bytes) -> None:
        """Raises: ClientError, when it can't be written."""
        if self.point is not None:
            self.point = (self.point[0], self.point[1] + len(data))
        try:
            await self._console.write(data)
        except OSError as error:
            raise ClientError("the output can't be written: nobody reads it any more.") from error

    def show(self, frame: dict[str, Any]) -> None:
        kind, code, text = frame.get("type"), frames.text_of(frame, "code"), frames.text_of(frame, "message")
        before, point = self.point, frames.stream_point(frame)
        is_same = before is None or point is None or before[0] == point[0]
        if kind == "welcome" and not is_same:
            point = None  # `reattached` follows: only that says whether it is still the same shell
        self.point = point or before
        self.trouble = text if kind == "error" and code not in TOLD else ""
        if kind == "welcome" or code == "reattached":
            self._welcomed(frame, is_here=point is not None, is_same=is_same)
        elif kind == "status_update":
            self._status(frame)
        elif code == "terminal_not_ready":
            self.is_attached = False  # the connection to the machine broke; `reattached` follows
        elif code in ("session_ended", "replaced"):
            self.ended_by, self.farewell = code, text
        elif code in TOLD:
            self.notice(text)

    def _welcomed(self, frame: dict[str, Any], *, is_here: bool, is_same: bool) -> None:
        """`is_here`: there is a shell; `is_same`: the stream goes on that was shown before."""
        self.name = frames.inner_text(frame, "environment", "name") or self.name
        self.is_view = self.is_view or frame.get("mode") == "view"
        recording = frames.inner_text(frame, "recording", "id")
        if recording and recording not in self.recordings:
            self.recordings.append(recording)
        if is_here:
            self._attached(is_same=is_same)
        else:
            # Not installed yet; or it runs and is slow to answer, then `reattached` follows, or the end.
            self.is_welcome = frames.inner_text(frame, "environment", "phase") not in ("", "running")
        if self.is_welcome:
            self._cancel_away_notice()

    def _attached(self, *, is_same: bool) -> None:
        is_first = not self.was_attached
        self._must_redraw = self._must_redraw or (self._is_covered and is_same)
        self._is_covered = False  # and a new stream begins with the whole screen
        self._told_size = None
        self.is_attached = self.was_attached = self.is_welcome = True
        self._console.wipe_status()
        self._console.set_raw(with_interrupt=False)
        self.has_news.set()
        if is_first and self.is_view and self._console.is_interactive:
            self.notice(LOOKING_ON)

    def _status(self, frame: dict[str, Any]) -> None:
        status, progress = frames.text_of(frame, "status"), frame.get("progress")
        is_running = status == "running"
        percent = f" {progress} %" if isinstance(progress, int) and not is_running else ""
        text = f"{self.name}: {frames.text_of(frame, 'message') or status}{percent}"
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

    def notice(self, text: str) -> None:
        """Tell it: until there is a terminal in the status line, over the screen as soon as that will stay."""
        if not self.was_attached:
            self._console.status(text)
        elif not self._console.can_draw:
            self._console.banner(text)
        else:
            self._notices.append(text)
            if self._next_notice is None:
                self._next_notice = asyncio.get_running_loop().call_later(NOTICE_AFTER_S, self._tell)

    def _tell(self) -> None:
        self._next_notice = None
        notices, self._notices = self._notices, []
        self._cover(" ".join(notices))

    def _cover(self, text: str) -> None:
        self._is_covered = self._console.banner(text) or self._is_covered

    def detach(self) -> None:
        """The socket is gone. The user hears of it when it lasts."""
        self.is_attached = self.is_welcome = False
        if self._away_notice is None:
            self._away_notice = asyncio.get_running_loop().call_later(AWAY_NOTICE_AFTER_S, self._tell_away)

    def _tell_away(self) -> None:
        text = f"connection lost, reconnecting… {self.trouble}".rstrip()
        if not self.was_attached:
            self._console.status(text)
        elif self._console.is_interactive:
            self._cover(f"{text} (~. leaves)")
        else:
            self._cover(text)

    def _cancel_away_notice(self) -> None:
        if self._away_notice is not None:
            self._away_notice.cancel()
            self._away_notice = None

    def close(self) -> None:
        """Nothing more is drawn."""
        self._cancel_away_notice()
        if self._next_notice is not None:
            self._next_notice.cancel()
