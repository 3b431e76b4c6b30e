"""Moving bytes between file descriptors and an SSH channel, with back-pressure both ways and no threads."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Protocol

CHUNK_BYTES = 64 * 1024  # joined before they are sent: a pty gives 4 KiB at most, and packets cost
SHORT_BYTES = 1024  # whoever read fewer has most likely read all there was: the loop tells of more

LOOK_S = 0.25  # how often a blocked channel is looked at


class Pausable(Protocol):
    """What Inflow needs of a channel."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool: ...


class Outflow:
    """What comes out of `fd` (non-blocking) goes to `write`, until the end of it; then `on_end` is called once."""

    def __init__(self, fd: int, write: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._fd, self._write, self._on_end = fd, write, on_end
        self._loop = asyncio.get_running_loop()
        self._paused = self._reading = self._finishing = False
        self.ended = False

    def start(self) -> None:
        """Begin to read, unless paused."""
        if not self.ended and not self._paused and not self._reading:
            self._loop.add_reader(self._fd, self._readable)
            self._reading = True

    def stop(self) -> None:
        """Read no more for now."""
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def pause(self) -> None:
        """The channel is full: leave the bytes where they are, so that whoever makes them has to wait."""
        self._paused = True
        self.stop()

    def resume(self) -> None:
        """The channel has room again."""
        self._paused = False
        self.start()
        if self._finishing:
            self._readable()

    def finish(self) -> None:
        """No more will be written at the other end: what can be read now is all there is."""
        self._finishing = True
        if not self._paused:
            self._readable()

    def _readable(self) -> None:
        while not self.ended and not self._paused:
            chunks, size, empty = [], 0, False
            while size < CHUNK_BYTES and not empty and not self.ended:
                try:
                    data = os.read(self._fd, CHUNK_BYTES - size)
                except BlockingIOError:
                    empty = True
                    self.ended = self._finishing
                except OSError:  # EIO: everybody has left the terminal
                    self.ended = True
                else:
                    chunks.append(data)
                    size += len(data)
                    self.ended = not data
                    empty = len(data) < SHORT_BYTES and not self._finishing
            if self.ended:
                self.stop()
            if size:
                self._write(b"".join(chunks))
            if not self._finishing:
                break  # the others' turn; while finishing, nobody would call us again
        if self.ended and (on_end := self._on_end) is not None:
            self._on_end = _nothing
            on_end()


def _nothing() -> None:
    pass


class Inflow:
    """What the channel brings goes into `fd` (non-blocking); while that is full the channel is paused."""

    def __init__(self, fd: int, channel: Pausable, *, close_at_eof: bool) -> None:
        self._fd, self._channel, self._close_at_eof = fd, channel, close_at_eof
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        self._eof = self._waiting = False
        self._look: asyncio.TimerHandle | None = None
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Pass on some bytes."""
        if self.closed:
            return  # nobody reads any more: dropped, as a broken pipe would
        if not self._waiting:
            data = data[self._push(data) :]
        if data and not self.closed:
            self._pending += data
            if not self._waiting:
                self._waiting = True
                self._channel.pause_reading()
                self._loop.add_writer(self._fd, self._writable)
                self._look = self._loop.call_later(LOOK_S, self._look_for_close)

    def eof(self) -> None:
        """No more will come: a pipe is closed once all is through; to a terminal it means nothing."""
        self._eof = True
        if self._close_at_eof and not self._waiting:
            self.close()

    def close(self) -> None:
        """Let go of the descriptor, which is closed if it is ours."""
        self._stop_waiting()
        if not self.closed:
            self.closed = True
            self._pending.clear()
            if self._close_at_eof:
                os.close(self._fd)

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._loop.remove_writer(self._fd)
        if self._look:
            self._look.cancel()
            self._look = None

    def _look_for_close(self) -> None:
        # asyncssh holds a close back behind data that waits here (against what it says of pause_reading): without
        # this, a program that reads nothing would never be told that its client has gone.
        if self._channel.is_closing():
            self.close()
            self._resume()
        else:
            self._look = self._loop.call_later(LOOK_S, self._look_for_close)

    def _push(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # EPIPE, EIO: nobody reads any more
            self.close()
            return len(data)

    def _writable(self) -> None:
        del self._pending[: self._push(self._pending)]
        if self._pending or self.closed:
            if self.closed:
                self._resume()
            return
        self._stop_waiting()
        self._resume()
        if self._eof and self._close_at_eof and not self._waiting:
            self.close()

    def _resume(self) -> None:
        with contextlib.suppress(OSError):  # the channel has just closed
            self._channel.resume_reading()
