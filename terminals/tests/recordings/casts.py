"""A strict reader of asciicast v2, and storages that fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import FileSystemStorage


@dataclass(frozen=True, slots=True)
class Cast:
    header: dict[str, Any]
    events: list[tuple[float, str, str]]

    @property
    def text(self) -> str:
        return "".join(text for _, kind, text in self.events if kind == "o")


def read_cast(data: bytes) -> Cast:
    """Each line is JSON and ends in a line feed, the header is of version 2, and times never fall."""
    assert data.endswith(b"\n")
    header, *events = (json.loads(line) for line in data[:-1].split(b"\n"))
    assert header["version"] == 2
    assert type(header["width"]) is type(header["height"]) is type(header["timestamp"]) is int
    assert type(header["title"]) is str
    for event in events:
        at, kind, text = event
        assert type(at) in (int, float)
        assert kind in ("o", "r")
        assert type(text) is str
    times = [0.0, *(at for at, _, _ in events)]
    assert times == sorted(times)
    return Cast(header, [(at, kind, text) for at, kind, text in events])


class FullStorage(FileSystemStorage):
    """Takes a few bytes, and then no more."""

    def _save(self, name: str, content: Any) -> str:
        super()._save(name, type(content)(content.file, name))
        raise OSError(28, "No space left on device")


class AwayStorage(FileSystemStorage):
    """Fails as a client of a service would, with errors of its own."""

    class Away(Exception):
        pass

    def _save(self, name: str, content: Any) -> str:
        raise self.Away

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise self.Away

    def delete(self, name: str) -> None:
        raise self.Away


def storage(name: str, **options: Any) -> dict[str, Any]:
    """settings.STORAGES with one that is known here."""
    return {"default": {"BACKEND": f"terminals.tests.recordings.casts.{name}", "OPTIONS": options}}
