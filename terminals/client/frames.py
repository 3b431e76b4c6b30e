"""Frames of the terminal's WebSocket (contract section 9), seen from the client. Pure."""

from __future__ import annotations

from typing import Any

import orjson


def encode(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def typed(number: int, text: str) -> str:
    """Input. The server applies each number once, and each is larger than the last."""
    return encode({"type": "input", "data": text, "seq": number})


def resize(cols: int, rows: int) -> str:
    return encode({"type": "resize", "cols": cols, "rows": rows})


def decode(raw: str | bytes) -> dict[str, Any]:
    """A frame of the server; empty for what is none, which a client passes over."""
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return frame if isinstance(frame, dict) else {}


def text_of(frame: dict[str, Any], key: str) -> str:
    """A text meant to be shown, on one line and without control characters; empty where it is missing."""
    value = frame.get(key)
    return "".join(one if one.isprintable() else " " for one in value) if isinstance(value, str) else ""


def number_of(frame: dict[str, Any], key: str) -> int:
    """A count; 0 where it is missing."""
    value = frame.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def inner_text(frame: dict[str, Any], key: str, inner: str) -> str:
    """As `text_of`, of an object within the frame."""
    value = frame.get(key)
    return text_of(value, inner) if isinstance(value, dict) else ""


def stream_point(frame: dict[str, Any]) -> tuple[str, int] | None:
    """Where the next output begins, in any frame that says so: the stream's id, and the bytes of it before that."""
    stream = frame.get("stream")
    if not isinstance(stream, dict):
        return None
    stream_id, offset = stream.get("id"), stream.get("offset")
    return (stream_id, offset) if isinstance(stream_id, str) and isinstance(offset, int) else None
