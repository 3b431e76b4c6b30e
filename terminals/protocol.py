"""What a client sends on the terminal's WebSocket, as commands. Pure. Source: contract section 9.2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

COLS_MAX, ROWS_MAX = 500, 200
INPUT_MAX_BYTES = 64 * 1024
SEQ_MAX = 2**53 - 1  # what every JSON library can count to exactly


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes for the PTY, unchanged. `seq`: the client's number for them; 0 for none."""

    data: bytes
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its name: what it sends depends on what the program has asked for. `seq` as with input."""

    name: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Resize:
    """The client's window in character cells, within 500 x 200."""

    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that means nothing (a resize to nothing) and is no error."""


class BadFrame(Exception):
    """A frame that can't be read. `code`: invalid_message or unknown_type; the connection stays."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


Frame = Input | Key | Resize | Ping | Ignored


def parse_frame(raw: str | bytes) -> Frame:
    """Turn one client frame (JSON, as text or bytes) into a command. Total: returns or raises BadFrame."""
    frame = _loads(raw)
    if not isinstance(frame, dict):
        raise BadFrame("invalid_message", "A message must be a JSON object.")
    kind = frame.get("type")
    if kind == "input":
        return _input(frame)
    if kind == "resize":
        return _resize(frame)
    if kind == "key":
        return _key(frame)
    if kind == "ping":
        return Ping()
    raise BadFrame("unknown_type", "This type of message is not known.")


def _loads(raw: str | bytes) -> Any:
    """Half a surrogate pair, which phones' keyboards have sent, is JSON to Python's own reader only; that takes five
    times as long.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise BadFrame("invalid_message", "This message is not JSON.") from error


def parse_ping(raw: str | bytes) -> Ping:
    """As parse_frame, where that is the only frame there is. Raises: BadFrame."""
    frame = parse_frame(raw)
    if not isinstance(frame, Ping):
        raise BadFrame("unknown_type", "This type of message is not known.")
    return frame


def _input(frame: dict[str, Any]) -> Input | Ignored:
    data, seq = frame.get("data"), _seq(frame)
    if not isinstance(data, str):
        raise BadFrame("invalid_message", "data must be a text.")
    encoded = data.encode("utf-8", "replace")  # half a surrogate pair is no character
    if len(encoded) > INPUT_MAX_BYTES:
        raise BadFrame("invalid_message", "data is longer than 64 KiB.")
    return Input(encoded, seq) if encoded or seq else Ignored()


def _key(frame: dict[str, Any]) -> Key:
    name, seq = frame.get("key"), _seq(frame)
    if not isinstance(name, str):
        raise BadFrame("invalid_message", "key must be a text.")
    return Key(name, seq)


def _seq(frame: dict[str, Any]) -> int:
    seq = frame.get("seq", 0)
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= SEQ_MAX:
        raise BadFrame("invalid_message", "seq must be a whole number from 1 to 2^53 - 1.")
    return seq


def _resize(frame: dict[str, Any]) -> Resize | Ignored:
    nested = frame.get("metadata")
    source = frame if "cols" in frame or not isinstance(nested, dict) else nested
    cols, rows = _cells(source.get("cols"), COLS_MAX), _cells(source.get("rows"), ROWS_MAX)
    return Resize(cols, rows) if cols and rows else Ignored()


def _cells(value: object, most: int) -> int:
    """A whole number of cells within 1 to `most`; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0
    return 0 if value < 1 else int(min(value, most))


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a returning client left off: `offset` bytes of `stream` it has already."""

    stream: str
    offset: int


def parse_resume(stream: str | None, offset: str | None) -> ResumePoint | None:
    """`?stream=<id>&offset=<n>`, or None where they don't name a point: then the client simply starts anew."""
    if not stream or len(stream) > 64 or not offset or not (offset.isascii() and offset.isdigit()) or len(offset) > 18:
        return None
    return ResumePoint(stream, int(offset))
