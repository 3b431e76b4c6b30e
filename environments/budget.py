"""How many calls to the cloud all processes together make: never more in any minute, or hour, than settings allow.

The times of the last minute's calls lie in the cache, and whoever wants to call takes its turn there first. Those who
wait for an answer come before the provisioner, and it before what merely looks around: each leaves room for the ones
before it. A cloud that says "too many" or refuses our token holds everybody back for a while.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from django.conf import settings
from django.core.cache import cache

from devpocket.cache import CacheAway
from devpocket.errors import AWAY_RETRY_S
from environments import counters
from environments.cloud import CloudThrottled

STATE, LOCK = "cloud-budget", "cloud-budget-lock"
MINUTE_S = 61.0  # a call is counted by the cloud a little after it was counted here
KEEP_S = 3700
LOCK_S = 2  # a process that was killed while it held the lock
LOCK_TRIES, LOCK_PAUSE_S = 200, 0.005
BUSY_S = 0.2


class Priority(IntEnum):
    """Who comes first."""

    REQUEST = 0  # somebody waits for the answer of an HTTP request
    LISTING = 1  # all environments that wait: without it none of them gets on
    STEP = 2  # one environment waits
    BACKGROUND = 3  # looking for changes, the reaper, the firewall


# Share of the limit that is left to those before. A listing takes 20 calls a minute at most (droplet_watch.py).
RESERVED = {Priority.REQUEST: 0.0, Priority.LISTING: 0.01, Priority.STEP: 0.06, Priority.BACKGROUND: 0.08}
PATIENCE_S = {Priority.REQUEST: 0.5, Priority.LISTING: 8.0, Priority.STEP: 8.0, Priority.BACKGROUND: 5.0}


class BudgetSpent(CloudThrottled):
    """No call was made: there is no room for one within the time that its priority may wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("the cloud's request limit is used up for now", retry_after_s=max(1.0, wait_s))


@dataclass(slots=True)
class _State:
    recent: list[float] = field(default_factory=list)  # epoch seconds of the last minute's calls, oldest first
    by_minute: dict[int, int] = field(default_factory=dict)  # epoch minute: calls
    held_until: float = 0.0


@contextmanager
def _locked() -> Iterator[bool]:
    """The right to change the state; False where it couldn't be had."""
    mine = uuid.uuid4().hex
    for _ in range(LOCK_TRIES):
        if cache.add(LOCK, mine, LOCK_S):
            break
        time.sleep(LOCK_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 -- chance, not secrecy
    else:
        yield False
        return
    try:
        yield True
    finally:
        if cache.get(LOCK) == mine:
            cache.delete(LOCK)


def take(priority: Priority) -> float:
    """Count a call that is made now; 0.0, or the seconds after which it is worth asking again."""
    with _locked() as is_mine:
        if not is_mine:
            return BUSY_S
        state, now = cache.get(STATE) or _State(), time.time()
        if state.held_until > now:
            return state.held_until - now
        state.recent = [at for at in state.recent if at > now - MINUTE_S]
        minute = int(now // 60)
        state.by_minute = {at: calls for at, calls in state.by_minute.items() if at >= minute - 60}
        for limit, used, wait_s in (
            (settings.CLOUD_CALLS_PER_MINUTE, len(state.recent), _until_room(state.recent, priority, now)),
            (settings.CLOUD_CALLS_PER_HOUR, sum(state.by_minute.values()), 60.0),
        ):
            if used >= _share(limit, priority):
                return wait_s
        state.recent.append(now)
        state.by_minute[minute] = state.by_minute.get(minute, 0) + 1
        cache.set(STATE, state, KEEP_S)
        return 0.0


def left() -> tuple[int, int]:
    """How many calls may still be made within this minute, and this hour."""
    state, now = cache.get(STATE) or _State(), time.time()
    if state.held_until > now:
        return 0, 0
    recent = sum(at > now - MINUTE_S for at in state.recent)
    of_hour = sum(calls for at, calls in state.by_minute.items() if at >= int(now // 60) - 60)
    return max(0, settings.CLOUD_CALLS_PER_MINUTE - recent), max(0, settings.CLOUD_CALLS_PER_HOUR - of_hour)


def _share(limit: int, priority: Priority) -> int:
    return max(1, int(limit * (1 - RESERVED[priority])))


def _until_room(recent: list[float], priority: Priority, now: float) -> float:
    """When so many of the minute's calls are forgotten that there is room for one more."""
    over = len(recent) - _share(settings.CLOUD_CALLS_PER_MINUTE, priority)
    return max(0.05, recent[over] + MINUTE_S - now) if 0 <= over < len(recent) else 0.05


def hold(seconds: float) -> None:
    """Nobody calls for so long: the cloud asked for it, or refuses our token and would go on refusing it."""
    with _locked() as is_mine:
        if is_mine:
            state = cache.get(STATE) or _State()
            state.held_until = max(state.held_until, time.time() + seconds)
            cache.set(STATE, state, KEEP_S)


class Gate:
    """What a cloud client passes before each request. `close` ends those who wait, when the process ends."""

    def __init__(self, priority: Priority) -> None:
        self._priority = priority
        self._closed = threading.Event()
        self._abandoned = threading.local()

    def close(self) -> None:
        self._closed.set()

    def watch(self, abandoned: threading.Event) -> None:
        """This thread's work is given up when the event is set: then it calls no more."""
        self._abandoned.event = abandoned

    def __call__(self) -> None:
        """Wait for room. Raises: BudgetSpent."""
        event: threading.Event = getattr(self._abandoned, "event", None) or threading.Event()
        give_up_at = time.monotonic() + PATIENCE_S[self._priority]
        while True:
            if self._closed.is_set() or event.is_set():
                raise BudgetSpent(1.0)
            try:
                wait_s = take(self._priority)
            except CacheAway as error:  # nobody knows what the others have used
                raise BudgetSpent(AWAY_RETRY_S) from error
            if wait_s <= 0.0:
                return
            if time.monotonic() + wait_s > give_up_at:
                counters.cloud_held_back()
                raise BudgetSpent(wait_s)
            self._closed.wait(wait_s * random.uniform(1.0, 1.2))  # noqa: S311
