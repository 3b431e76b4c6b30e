"""What was typed and is not yet sent, in pieces that fit a message. Pure."""

from __future__ import annotations

# A character is at most 6 bytes of JSON (\u001b), so that a message stays below 64 KiB (contract section 9.1).
FRAME_CHARACTERS = 8192
KEPT_CHARACTERS = 64 * 1024


class Outbox:
    """Text in the order it was typed. It takes more than `limit`; whoever fills it looks at `is_full`."""

    def __init__(self, limit: int = KEPT_CHARACTERS) -> None:
        self._limit = limit
        self._text = ""

    def __len__(self) -> int:
        return len(self._text)

    @property
    def is_full(self) -> bool:
        return len(self._text) > self._limit

    def put(self, text: str) -> None:
        self._text += text

    def first(self) -> str:
        """The text of the next message; empty when there is none. It stays here until `sent` is told."""
        return self._text[:FRAME_CHARACTERS]

    def sent(self, text: str) -> None:
        """`text`, which `first` gave, is on its way."""
        self._text = self._text[len(text) :]

    def forget_surplus(self) -> None:
        """Keep the oldest `limit` characters."""
        self._text = self._text[: self._limit]
