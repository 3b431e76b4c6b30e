"""Output that is not live any more asks a terminal nothing, and begins with nothing that is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.replayed import first_whole, queries

ASKED = [
    b"\x1b[c",
    b"\x1b[0c",
    b"\x1b[>c",
    b"\x1b[>0c",
    b"\x1b[=c",
    b"\x1bZ",
    b"\x1b[5n",
    b"\x1b[6n",
    b"\x1b[?6n",
    b"\x1b[?996n",
    b"\x1b[?2026$p",
    b"\x1b[4$p",
    b"\x1b[>q",
    b"\x1b[>0q",
    b"\x1b[14t",
    b"\x1b[18t",
    b"\x1b[21t",
    b"\x1b[?u",
    b"\x1b[x",
    b"\x1b]10;?\x07",
    b"\x1b]11;?\x1b\\",
    b"\x1b]4;12;?\x07",
    b"\x1b]52;c;?\x07",
    b"\x1bP+q544e\x1b\\",
    b"\x1bP$qm\x1b\\",
    b"\x05",
]
SAID = [
    b"plain",
    "é→😀".encode(),
    b"\x1b[31m",
    b"\x1b[1;31H",
    b"\x1b[2J",
    b"\x1b[?25h",
    b"\x1b[3;1;1t",
    b"\x1b[22;0t",
    b"\x1b]0;title?\x07",
    b"\x1b]10;#ffffff\x1b\\",
    b"\x1b]52;c;aGVsbG8=\x07",
    b"\x1b(B",
    b"\x1b7",
    b"\x1b[>4;2m",
    b"\x1b[4 q",
    b"\x1b[u",
    b"\x1b[<u",
    b"\x1bM",
]
SEQUENCES = [one for one in [*ASKED, *SAID] if one.startswith(b"\x1b") and one != b"\x05"]


@pytest.mark.parametrize("question", ASKED)
def test_questions_are_found(question: bytes) -> None:
    assert list(queries(b"before" + question + b"after")) == [(6, 6 + len(question))]


@given(st.lists(st.sampled_from([*ASKED, *SAID])))
def test_nothing_else_is(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    left = bytearray()
    at = 0
    for begin, end in queries(whole):
        left += whole[at:begin]
        at = end
    left += whole[at:]
    assert bytes(left) == b"".join(piece for piece in pieces if piece not in ASKED)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_cut_sequence_is_left_out(sequence: bytes) -> None:
    for cut in range(1, len(sequence)):
        before, rest = b"\x1b[0mtext" + sequence[:cut], sequence[cut:] + b"next\x1b[1m"
        assert first_whole(before, rest) == len(sequence) - cut, (before, rest)


@pytest.mark.parametrize("character", ["é", "→", "😀"])
def test_a_cut_character_is_left_out(character: str) -> None:
    encoded = character.encode()
    for cut in range(1, len(encoded)):
        assert first_whole(b"text" + encoded[:cut], encoded[cut:] + b"next") == len(encoded) - cut


@pytest.mark.parametrize("before", [b"", b"text", b"\x1b[31m", b"\x1b]0;title\x07", b"\x1b(B", b"\x1b]0;t\x1b\\"])
def test_what_begins_well_is_left_whole(before: bytes) -> None:
    assert first_whole(before, b"next [31m") == 0


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_never_more_is_left_out_than_there_is(before: bytes, data: bytes) -> None:
    assert 0 <= first_whole(before, data) <= len(data)


def test_a_string_without_an_end_loses_nothing() -> None:
    assert first_whole(b"\x1b]0;" + b"x" * 100, b"y" * 100) == 0
