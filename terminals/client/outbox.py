"""What was typed and is not known to have arrived, in numbered pieces that fit a message. Pure.

The server applies each number once (docs/websocket-protocol.md, "Input exactly once"), so a piece that was on its way
when the connection broke is sent again as it was: neither lost nor typed twice.
"""

from __future__ import annotations

from collections import deque

# A character is at most 6 bytes of JSON (\u001b), so that a message stays below 64 KiB (contract section 9.1).
FRAME_CHARACTERS = 8192
KEPT_CHARACTERS = 64 * 1024

Piece = tuple[int, str]  # its number, from 1 on, and its text


class Outbox:
    """Text in the order it was typed. It takes more than `limit` characters; whoever fills it looks at `is_full`.

    What has a number keeps it with its text for good: the server may have applied it.
    """

    def __init__(self, limit: int = KEPT_CHARACTERS) -> None:
        self._limit = limit
        self._on_its_way: deque[Piece] = deque()
        self._again: deque[Piece] = deque()  # was on its way when the connection broke
        self._text = ""  # without a number yet
        self._last = 0  # the last number that was given

    def __len__(self) -> int:
        return self._numbered_characters() + len(self._text)

    def _numbered_characters(self) -> int:
        return sum(len(text) for pieces in (self._on_its_way, self._again) for _, text in pieces)

    @property
    def is_full(self) -> bool:
        return len(self) > self._limit

    def put(self, text: str) -> None:
        self._text += text

    def next(self) -> Piece | None:
        """What to send next, which is on its way then; None for nothing."""
        if self._again:
            piece = self._again.popleft()
        elif self._text:
            self._last += 1
            piece = (self._last, self._text[:FRAME_CHARACTERS])
            self._text = self._text[FRAME_CHARACTERS:]
        else:
            return None
        self._on_its_way.append(piece)
        return piece

    def acknowledged(self, number: int) -> None:
        """The server has applied everything up to this number."""
        for pieces in (self._on_its_way, self._again):
            while pieces and pieces[0][0] <= number:
                pieces.popleft()

    def start_over(self, applied: int) -> None:
        """On another socket, or with another shell. The server has said up to where it applied; the rest goes again."""
        self._again.extendleft(reversed(self._on_its_way))
        self._on_its_way.clear()
        self.acknowledged(applied)

    def forget(self) -> bool:
        """Drop everything; whether there was anything."""
        had_any = len(self) > 0
        self._text = ""
        self._on_its_way.clear()
        self._again.clear()
        return had_any

    def forget_surplus(self) -> None:
        """Keep the oldest `limit` characters, and all that has a number."""
        self._text = self._text[: max(0, self._limit - self._numbered_characters())]
