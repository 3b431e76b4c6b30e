"""How a changed row wakes the provisioner of this process at once; those of others look by themselves."""

from __future__ import annotations

from collections.abc import Callable

_wakers: set[Callable[[], None]] = set()


def register(waker: Callable[[], None]) -> None:
    """`waker` must be safe to call from any thread."""
    _wakers.add(waker)


def unregister(waker: Callable[[], None]) -> None:
    _wakers.discard(waker)


def wake_provisioner() -> None:
    for waker in tuple(_wakers):
        waker()
