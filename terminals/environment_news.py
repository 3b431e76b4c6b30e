"""What a client of the environments' WebSocket is told: which changes are news, and what it hasn't heard yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from environments.lifecycle import AT_REST, Phase
from terminals.frames import encode

Shown = dict[str, Any]  # an environment as the API gives it

# What moves all the time is news only when it is so far from what the client was told: percent, or seconds.
# A machine that does nothing is not told of for hours, and one that is worked on every few minutes.
MOVES: dict[str, float] = {
    "cpu_usage": 10,
    "memory_usage": 10,
    "storage_usage": 2,
    "last_activity_at": 300,
    "idle_stop_at": 300,
}
# By itself never: each of these says nothing, or nothing that others don't say.
SILENT = frozenset({"updated_at", "last_accessed", "last_activity"})
SILENT_BILLING = frozenset({"usd_month_to_date"})  # a client can count on from `usd_per_hour`


@dataclass(frozen=True, slots=True)
class Face:
    """As much of an environment's object as tells whether another one is news; not the object, which is a hundred times
    that. `moving`: of MOVES, in its order.
    """

    fixed: bytes
    moving: tuple[float | None, ...]


def face_of(shown: Shown) -> Face:
    fixed = {name: value for name, value in shown.items() if name not in SILENT and name not in MOVES}
    fixed["billing"] = {name: value for name, value in shown["billing"].items() if name not in SILENT_BILLING}
    digest = hashlib.blake2b(orjson.dumps(fixed), digest_size=16).digest()
    return Face(digest, tuple(_number(shown[name]) for name in MOVES))


def _number(value: float | str | None) -> float | None:
    """A time counts in seconds."""
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def is_news(told: Face | None, now: Face) -> bool:
    return told is None or told.fixed != now.fixed or any(map(_has_moved, told.moving, now.moving, MOVES.values()))


def _has_moved(told: float | None, now: float | None, least: float) -> bool:
    if told is None or now is None:
        return told is not now
    return abs(now - told) >= least


def is_under_way(shown: Shown) -> bool:
    """Whether its phase passes by itself, or it is being set up behind its terminals."""
    installation = shown["installation"]
    if shown["phase"] == Phase.RUNNING:
        return not installation["completed"] and installation["error"] is None
    return shown["phase"] not in {*AT_REST, Phase.ERROR}


class Untold:
    """What one client hasn't heard: never a queue, but the newest object of each environment that isn't as it was told.

    Of a client that reads nothing no more than one object of each is kept; what went back to what it was in the
    meantime is not told at all.
    """

    __slots__ = ("_told", "_waiting")

    def __init__(self) -> None:
        self._told: dict[str, Face] = {}
        self._waiting: dict[str, tuple[Shown, Face] | None] = {}  # None: it is gone

    def welcome(self, environments: list[Shown]) -> str:
        """The first frame, which has all of them."""
        self._told = {shown["id"]: face_of(shown) for shown in environments}
        return encode({"type": "welcome", "message": "Your environments", "environments": environments})

    def seen(self, environments: list[Shown]) -> bool:
        """All that there are now, newest first; whether the client isn't told of some yet."""
        faces = {shown["id"]: face_of(shown) for shown in environments}
        self._waiting = {gone: None for gone in self._told if gone not in faces}  # first: their names are free again
        for shown in environments:
            face = faces[shown["id"]]
            if is_news(self._told.get(shown["id"]), face):
                self._waiting[shown["id"]] = shown, face
        return bool(self._waiting)

    def next(self) -> str | None:
        """A frame that the client is told now; None when there is no more to tell."""
        if not self._waiting:
            return None
        environment_id = next(iter(self._waiting))
        news = self._waiting.pop(environment_id)
        if news is None:
            del self._told[environment_id]
            return encode({"type": "environment_removed", "environment_id": environment_id})
        shown, self._told[environment_id] = news
        return encode({"type": "environment", "environment": shown})
