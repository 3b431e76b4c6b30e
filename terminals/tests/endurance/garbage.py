"""What a client may send that makes no sense: frames, raw, and what a server may answer to each."""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
EDGE = 64 * 1024
KINDS = ("input", "key", "resize", "ping", "pong", "welcome", "output", "", None, 7, [], {})
NAMES = ("type", "data", "seq", "key", "cols", "rows", "metadata", "lines", "stream", "\0", "é")
# Too large for a float, for 64 bits, for Python's own limit of digits; and no number.
NUMBERS = ("1e999", "-1e999", "-0", "0.1e-400", "9007199254740993", "9" * 400, "9" * 5000, "NaN", "Infinity", "80")


def frame(opcode: int, payload: bytes, *, is_last: bool = True, reserved: int = 0, is_masked: bool = True) -> bytes:
    """As RFC 6455, 5.2 has it; `reserved`: the three bits that an extension may use, 4 for compressed."""
    head = bytes([(0x80 if is_last else 0) | reserved << 4 | opcode])
    mask_bit = 0x80 if is_masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", mask_bit | 126, len(payload))
    else:
        head += struct.pack("!BQ", mask_bit | 127, len(payload))
    return head + (b"\0\0\0\0" if is_masked else b"") + payload  # a mask of zeros changes nothing


def compressed(payload: bytes) -> bytes:
    """A text frame as permessage-deflate has it (RFC 7692, 7.2.1), without context."""
    packer = zlib.compressobj(wbits=-12)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, data[:-4], reserved=4)


class Garbage:
    """Frames by chance. Those of `harmless()` leave the connection as it is; one of `fatal()` may end it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def harmless(self) -> bytes:
        makers: list[Callable[[], bytes]] = [
            self._json,
            self._json,
            self._number,
            self._nested,
            self._text,
            self._bytes,
            self._edge,
            self._fragments,
            lambda: frame(PING, self._noise(125)),
            lambda: frame(PONG, self._noise(125)),
        ]
        return self._rng.choice(makers)()

    def fatal(self) -> bytes:
        rng = self._rng
        return rng.choice(
            [
                frame(TEXT, b'{"type":"input","data":"\xff\xfe\xc3"}'),  # no UTF-8
                frame(TEXT, b"\xed\xa0\x80"),  # half a surrogate pair
                frame(TEXT, b"[" * 100_000),
                frame(TEXT, b" " * (EDGE + 1)),
                frame(BINARY, bytes(EDGE + 1)),
                frame(TEXT, b"a" * EDGE, is_last=False) + frame(CONTINUATION, b"b"),
                frame(CONTINUATION, b"no beginning"),
                frame(TEXT, b"one", is_last=False) + frame(TEXT, b"two"),
                frame(rng.randint(3, 7), b"reserved"),
                frame(rng.randint(11, 15), b"reserved"),
                frame(TEXT, b"reserved", reserved=rng.randint(1, 3)),
                frame(TEXT, b"not deflated", reserved=4),
                frame(PING, bytes(126)),
                frame(PING, b"in pieces", is_last=False),
                frame(TEXT, b"unmasked", is_masked=False),
                frame(CLOSE, b"\3"),
                frame(CLOSE, struct.pack("!H", rng.choice([0, 999, 1004, 1005, 1006, 1015, 5000, 65535]))),
                frame(CLOSE, struct.pack("!H", 1000) + b"\xff\xff"),
                frame(CLOSE, struct.pack("!H", 4321) + b"bye"),
                b"\x81\xff" + b"\x7f" * 8,  # longer than anything
                b"\x81\xff" + b"\xff" * 8,
                os.urandom(rng.randint(1, 2000)),
                frame(TEXT, b'{"type":"ping"}')[: rng.randint(1, 15)],
                b"",
            ]
        )

    def _noise(self, most: int) -> bytes:
        return self._rng.randbytes(self._rng.randint(0, most))

    def _value(self, depth: int) -> Any:
        rng = self._rng
        kind = rng.randrange(9 if depth else 7)
        if kind == 7:
            return [self._value(depth - 1) for _ in range(rng.randrange(4))]
        if kind == 8:
            return {rng.choice(NAMES): self._value(depth - 1) for _ in range(rng.randrange(4))}
        return [None, True, rng.randrange(-5, 600), rng.random() * 1e6, "\ud800", rng.choice(KINDS), "é" * 9][kind]

    def _json(self) -> bytes:
        rng = self._rng
        fields = {name: self._value(3) for name in NAMES if rng.random() < 0.4}
        if rng.random() < 0.8:
            fields["type"] = rng.choice(KINDS)
        text = json.dumps(fields if rng.random() < 0.9 else self._value(5))
        return frame(rng.choice((TEXT, BINARY)), text.encode())

    def _number(self) -> bytes:
        rng = self._rng
        cols, rows, seq = (rng.choice(NUMBERS) for _ in range(3))
        kind = rng.choice(["resize", "input", "key"])
        text = f'{{"type":"{kind}","cols":{cols},"rows":{rows},"seq":{seq},"data":"","key":"up"}}'
        return frame(TEXT, text.encode())

    def _nested(self) -> bytes:
        depth = self._rng.choice([10, 1000, 30_000, EDGE // 2 - 20])
        opening, closing = self._rng.choice([(b"[", b"]"), (b'{"type":', b"}")])
        depth = min(depth, (EDGE - 20) // (len(opening) + 1))
        return frame(TEXT, opening * depth + b"1" + closing * depth)

    def _text(self) -> bytes:
        characters = [chr(self._rng.choice([self._rng.randrange(32), self._rng.randrange(0xD800)])) for _ in range(50)]
        return frame(TEXT, "".join(characters).encode())

    def _bytes(self) -> bytes:
        start = self._rng.choice([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\0\0\xfe\xff", b"{", b'"'])
        return frame(BINARY, start + self._noise(300))

    def _edge(self) -> bytes:
        """As long as a message may be: of nothing, and of a key whose name is that long."""
        if self._rng.random() < 0.5:
            return frame(TEXT, b" " * (EDGE - self._rng.randrange(3)))
        text = b'{"type":"key","key":"' + b"x" * (EDGE - 23) + b'"}'
        return frame(TEXT, text)

    def _fragments(self) -> bytes:
        """One message in pieces, some of them empty, with pings between."""
        whole = b'{"type":"resize","cols":80,"rows":24}' + b" " * self._rng.randrange(200)
        cuts = sorted(self._rng.randrange(len(whole)) for _ in range(self._rng.randrange(1, 12)))
        pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        sent = b""
        for number, piece in enumerate(pieces):
            opcode = TEXT if number == 0 else CONTINUATION
            sent += frame(opcode, piece, is_last=number == len(pieces) - 1)
            sent += frame(PING, b"between") if number < len(pieces) - 1 and self._rng.random() < 0.3 else b""
        return sent


class RawSocket:
    """A WebSocket whose frames are written by hand. `code`: of the server's close; None for none so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.code: int | None = None
        self.told: list[dict[str, Any]] = []
        self.pinged: bytes | None = None  # what the server's last ping said

    @classmethod
    @asynccontextmanager
    async def at(cls, port: int, target: bytes, *, extensions: bytes = b"") -> AsyncIterator[RawSocket]:
        """`target`: path and query. Raises: ConnectionError, where the answer isn't 101."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(
            b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + extensions + b"\r\n"
        )
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in answer.partition(b"\r\n")[0]:
                raise ConnectionError(answer)
            yield cls(reader, writer)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(error.partial) from error
        finally:
            writer.transport.abort()

    async def read(self) -> bool:
        """One frame of the server's; False at the end."""
        try:
            first, length = await self._reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
            payload = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return False
        if first & 0x0F == CLOSE:
            self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
        elif first & 0x0F == PING:
            self.pinged = payload
        elif first & 0x0F == TEXT and not first & 0x40:
            self.told.append(json.loads(payload))
        return True

    async def until_told(self, **fields: Any) -> None:
        """Read until a frame with these fields has come. Raises: ConnectionError, where it ends before."""
        while not any(fields.items() <= one.items() for one in self.told):
            if not await self.read():
                raise ConnectionError(f"closed with {self.code}, after {self.told[-3:]}")

    async def until_closed(self) -> None:
        while await self.read():
            pass
