"""How a changed row wakes a worker of this process at once; those of other processes look by themselves."""

from __future__ import annotations

from collections.abc import Callable


class Wakers:
    """Functions to call when there is work; each must be safe to call from any thread."""

    def __init__(self) -> None:
        self._wakers: set[Callable[[], None]] = set()

    def register(self, waker: Callable[[], None]) -> None:
        self._wakers.add(waker)

    def unregister(self, waker: Callable[[], None]) -> None:
        self._wakers.discard(waker)

    def wake(self) -> None:
        for waker in tuple(self._wakers):
            waker()
