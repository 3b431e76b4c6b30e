"""What a program has switched on is known, however its output is cut."""

from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from terminals.modes import STICKY, ModeTracker

PIECES = st.sampled_from(
    [
        b"text",
        b"why? \x1b[0m",
        "é?".encode(),
        b"\x1b[?25l",
        b"\x1b[?25h",
        b"\x1b[?1049h\x1b[2J",
        b"\x1b[?1049l",
        b"\x1b[?1;2004h",
        b"\x1b[?1l",
        b"\x1b[?1000;1006h",
        b"\x1b",
        b"\x1b[",
        b"\x1b[?",
        b"\x1b[?9999999999999999h",
    ]
)


def tracked(*chunks: bytes) -> ModeTracker:
    modes = ModeTracker()
    for chunk in chunks:
        modes.feed(chunk)
    return modes


def state(modes: ModeTracker) -> list[bool]:
    return [modes.is_on(mode) for mode in STICKY]


@given(st.lists(PIECES, max_size=12), st.data())
def test_it_is_the_same_however_it_is_cut(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert state(tracked(*chunks)) == state(tracked(whole))


@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12))
def test_what_restores_it_brings_any_terminal_there(pieces: list[bytes], others: list[bytes]) -> None:
    wanted, elsewhere = tracked(*pieces), tracked(*others, b"\x18")
    elsewhere.feed(wanted.restore())
    assert state(elsewhere) == state(wanted)


def test_the_cursor_is_shown_and_lines_wrap_at_first() -> None:
    modes = ModeTracker()
    assert [mode for mode in STICKY if modes.is_on(mode)] == [7, 25]
    assert b"\x1b[?25h" in modes.restore()
    assert b"\x1b[?1049l" in modes.restore()


def test_a_full_screen_program() -> None:
    modes = tracked(b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?25l")
    assert [mode for mode in STICKY if modes.is_on(mode)] == [1, 7, 1002, 1006, 1049, 2004]
    assert modes.restore().index(b"?1049h") < modes.restore().index(b"?2004h")


def test_a_copy_goes_its_own_way() -> None:
    modes = tracked(b"\x1b[?25l\x1b[?20")
    other = modes.copy()
    other.feed(b"04h")
    assert other.is_on(2004)
    assert not modes.is_on(2004)
    assert not other.is_on(25)


def test_the_command_that_resets_a_terminal_does() -> None:
    sent = [
        subprocess.run(["tput", "-T", "xterm-256color", name], capture_output=True, check=True).stdout
        for name in ("rs1", "rs2")  # reset(1) sends both
    ]
    reset = b"".join(sent)
    assert state(tracked(b"\x1b[?1049h\x1b[?25l", reset)) == state(ModeTracker())
