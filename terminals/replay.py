"""The last bytes of a terminal, addressed by their offset from its beginning. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class ReplayBuffer:
    """Keeps the newest `limit` bytes; `start` and `end` are offsets in bytes since the stream began.

    `on_forget` is given what is forgotten, in its order.
    """

    __slots__ = ("_chunks", "_on_forget", "end", "limit", "start")

    def __init__(self, limit: int, on_forget: Callable[[bytes], None] | None = None) -> None:
        self.limit = limit
        self._on_forget = on_forget
        self.start = self.end = 0
        self._chunks: deque[bytes] = deque()

    def append(self, data: bytes) -> None:
        """Add bytes at the end; the oldest beyond `limit` are forgotten."""
        if not data:
            return
        self._chunks.append(data)
        self.end += len(data)
        surplus = self.end - self.start - self.limit
        while surplus > 0:
            oldest = self._chunks[0]
            if len(oldest) <= surplus:
                self._chunks.popleft()
            else:
                self._chunks[0] = oldest[surplus:]
                oldest = oldest[:surplus]
            surplus -= len(oldest)
            self.start += len(oldest)
            if self._on_forget is not None:
                self._on_forget(oldest)

    def since(self, offset: int, most: int | None = None) -> tuple[int, bytes]:
        """Bytes from `offset` on, `most` of them at most, and the offset of the first: later, if it was forgotten."""
        first = max(offset, self.start)
        wanted = self.end - first if most is None else min(most, self.end - first)
        if wanted <= 0:
            return first, b""
        # Readers are near the end, so the chunk is looked for from there.
        index, chunk_start = len(self._chunks), self.end
        while chunk_start > first:
            index -= 1
            chunk_start -= len(self._chunks[index])
        skipped = first - chunk_start
        piece = self._chunks[index]
        if len(piece) - skipped >= wanted:
            return first, piece[skipped : skipped + wanted]
        pieces, got = [piece[skipped:]], len(piece) - skipped
        while got < wanted:
            index += 1
            piece = self._chunks[index][: wanted - got]
            pieces.append(piece)
            got += len(piece)
        return first, b"".join(pieces)
