"""The local terminal: raw mode, size, bytes in and out. Pipes and files in its place work too."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import termios
from contextlib import suppress
from types import TracebackType
from typing import Any

from terminals.client.modes import ModeTracker
from terminals.client.notices import BELL, WIPE_LINE, banner, paragraph, status_line
from terminals.client.worker import Worker

READ_BYTES = 16 * 1024
LAST_WORDS_LIMIT_S = 1.0  # a terminal that takes nothing for so long is left as it is


class Console:
    """Three file descriptors. As a context manager it puts the terminal back as it was, whatever happens.

    Output goes to `stdout`; what the client itself has to say goes to `stderr`, drawn there if it is a terminal.
    """

    def __init__(self, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> None:
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self.is_interactive = os.isatty(stdin)
        self.can_draw = os.isatty(stderr)
        self._size_from = next((fd for fd in (stdout, stdin, stderr) if os.isatty(fd)), None)
        self._modes = ModeTracker()
        self._writer = Worker("console")
        self._has_status_line = False
        self._before: list[Any] | None = None
        self._wanted: list[Any] | None = None

    def __enter__(self) -> Console:
        if self.is_interactive:
            self._before = termios.tcgetattr(self._stdin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.isatty(self._stdout):
            self._writer.submit(lambda: _write(self._stdout, self._modes.undo().encode()))
        self.wipe_status()
        with suppress(TimeoutError):
            self._writer.submit(lambda: None).result(LAST_WORDS_LIMIT_S)
        if self._before is not None:
            self._apply(self._before)

    # --- Modes

    def set_raw(self, *, with_interrupt: bool) -> None:
        """Every key comes at once and unseen. `with_interrupt`: but Ctrl-C, which is still a signal."""
        if self._before is None:
            return
        iflag, oflag, cflag, lflag, *speeds, keys = self._before
        keys = list(keys)
        # Source: termios(3), cfmakeraw.
        iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
        iflag &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        oflag &= ~termios.OPOST
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        keys[termios.VMIN], keys[termios.VTIME] = 1, 0
        if with_interrupt:
            lflag |= termios.ISIG
            nothing = os.fpathconf(self._stdin, "PC_VDISABLE")
            keys[termios.VSUSP] = keys[termios.VQUIT] = bytes([nothing])
        self._wanted = [iflag, oflag, cflag, lflag, *speeds, keys]
        self._apply(self._wanted)

    def set_again(self) -> None:
        """After the process was stopped and goes on: the shell has set the terminal for itself meanwhile."""
        if self._wanted is not None:
            self._apply(self._wanted)

    def _apply(self, mode: list[Any]) -> None:
        with suppress(termios.error):  # hung up: nobody is left to see it
            termios.tcsetattr(self._stdin, termios.TCSANOW, mode)

    def size(self) -> tuple[int, int]:
        """Columns and rows; of no terminal what COLUMNS and LINES say, else 80 x 24."""
        if self._size_from is not None:
            try:
                size = os.get_terminal_size(self._size_from)
            except OSError:
                pass
            else:
                if size.columns and size.lines:
                    return size.columns, size.lines
        size = shutil.get_terminal_size((80, 24))
        return size.columns, size.lines

    # --- Bytes

    async def read(self) -> bytes:
        """What was typed since; empty at the end of the input."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        try:
            loop.add_reader(self._stdin, readable.set)
        except PermissionError:  # a regular file or /dev/null: epoll does not take it, since it never blocks
            return await asyncio.to_thread(os.read, self._stdin, READ_BYTES)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._stdin)
        try:
            return os.read(self._stdin, READ_BYTES)
        except OSError:  # EIO: the terminal hung up
            return b""

    async def write(self, data: bytes) -> None:
        """Output of the machine, as it is; waits while the terminal takes no more. Raises: OSError."""
        self._modes.feed(data)
        await self._writer.run(lambda: _write(self._stdout, data))

    # --- The client's own words; none of them waits

    def status(self, text: str) -> None:
        """In one line that the next status replaces."""
        if self.can_draw:
            self._has_status_line = True
            self._draw(status_line(text, self.size()[0]))
        else:
            self._draw(f"{text}\n")

    def wipe_status(self) -> None:
        if self._has_status_line:
            self._has_status_line = False
            self._draw(WIPE_LINE)

    def banner(self, text: str) -> bool:
        """Over the remote screen; whether that has to be drawn again. Where lines go by, it is one of them."""
        if not self.can_draw:
            self._draw(f"{text}\n")
        elif self._modes.is_alternate:
            self._draw(banner(text, self.size()[0]))
            return True
        else:
            self._draw(paragraph(text))
        return False

    def bell(self) -> None:
        if self.can_draw:
            self._draw(BELL)

    def _draw(self, text: str) -> None:
        self._writer.submit(lambda: _write(self._stderr, text.encode()))


def _write(fd: int, data: bytes) -> None:
    """All of it, also where the descriptor does not block."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # somebody else made our terminal so
            select.select([], [fd], [])
