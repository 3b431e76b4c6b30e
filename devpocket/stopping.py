"""Whether this process has been told to stop, for whoever gives it work or would begin some."""

from __future__ import annotations

from devpocket.wakers import Wakers

wakers = Wakers()  # called once, when it begins
_is_begun = False  # of the process: it is told once


def begin() -> None:
    """Begin nothing new from now on; what is under way comes to its end (devpocket/server.py)."""
    global _is_begun
    if not _is_begun:
        _is_begun = True
        wakers.wake()


def is_begun() -> bool:
    return _is_begun
