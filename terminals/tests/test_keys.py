"""Keys by name send what a terminal would."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.keys import CURSOR, NUMBERED, key_bytes


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("esc", b"\x1b"),
        ("tab", b"\t"),
        ("shift-tab", b"\x1b[Z"),
        ("enter", b"\r"),
        ("backspace", b"\x7f"),
        ("delete", b"\x1b[3~"),
        ("up", b"\x1b[A"),
        ("end", b"\x1b[F"),
        ("pgdn", b"\x1b[6~"),
        ("f1", b"\x1bOP"),
        ("f5", b"\x1b[15~"),
        ("f12", b"\x1b[24~"),
        ("ctrl-c", b"\x03"),
        ("Ctrl-C", b"\x03"),
        ("ctrl-space", b"\x00"),
        ("ctrl-[", b"\x1b"),
        ("ctrl-?", b"\x7f"),
        ("alt-x", b"\x1bx"),
        ("alt-X", b"\x1bX"),
        ("alt-enter", b"\x1b\r"),
        ("ctrl-alt-c", b"\x1b\x03"),
        ("ctrl-left", b"\x1b[1;5D"),
        ("alt-shift-up", b"\x1b[1;4A"),
        ("shift-f5", b"\x1b[15;2~"),
        ("ctrl-f1", b"\x1b[1;5P"),
        ("a", b"a"),
        ("-", b"-"),
        ("alt--", b"\x1b-"),
        ("é", "é".encode()),
    ],
)
def test_what_a_key_sends(name: str, sent: bytes) -> None:
    assert key_bytes(name) == sent


@pytest.mark.parametrize("name", ["", "no-such", "ctrl-", "ctrl-é", "shift-ctrl-a", "ab", "\x00", "up up", "x" * 1000])
def test_a_key_there_is_not(name: str) -> None:
    assert key_bytes(name) is None


def test_programs_choose_the_form_of_the_cursor_keys() -> None:
    assert key_bytes("up", application_cursor=True) == b"\x1bOA"
    assert key_bytes("ctrl-up", application_cursor=True) == b"\x1b[1;5A"  # with a modifier there is one form only


@given(st.text(max_size=40))
def test_any_name_is_a_key_or_none(name: str) -> None:
    sent = key_bytes(name)
    assert sent is None or 1 <= len(sent) <= 12


@pytest.mark.parametrize(
    ("name", "capability"),
    [("up", "kcuu1"), ("down", "kcud1"), ("left", "kcub1"), ("right", "kcuf1"), ("home", "khome"), ("end", "kend")],
)
def test_terminfo_knows_the_cursor_keys_that_programs_ask_for(name: str, capability: str) -> None:
    known = subprocess.run(["tput", "-T", "xterm-256color", capability], capture_output=True, check=True).stdout
    assert key_bytes(name, application_cursor=True) == known


@pytest.mark.parametrize(
    ("name", "capability"), [("f1", "kf1"), ("f5", "kf5"), ("f12", "kf12"), ("delete", "kdch1"), ("pgup", "kpp")]
)
def test_terminfo_knows_the_other_keys(name: str, capability: str) -> None:
    known = subprocess.run(["tput", "-T", "xterm-256color", capability], capture_output=True, check=True).stdout
    assert key_bytes(name) == known


def test_modifiers_are_counted_as_xterm_does() -> None:
    for key in [*CURSOR, *NUMBERED]:
        for modifiers, number in (("shift-", 2), ("alt-", 3), ("ctrl-", 5), ("ctrl-alt-shift-", 8)):
            sent = key_bytes(modifiers + key)
            assert sent is not None
            assert b";%d" % number in sent
