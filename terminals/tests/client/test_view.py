"""What the client makes of what the server tells, without a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from terminals.client.console import Console
from terminals.client.view import View

OLD, NEW = {"id": "old", "offset": 10}, {"id": "new", "offset": 0}


class Screen:
    """A view whose words go into a pipe, as where there is no terminal."""

    def __init__(self, view: View, words: int) -> None:
        self.view, self._words = view, words

    def show(self, kind: str, code: str = "", message: str = "", **more: Any) -> None:
        self.view.show({"type": kind, "code": code, "message": message, **more})

    @property
    def told(self) -> str:
        return os.read(self._words, 4096).decode()


@pytest.fixture
def screen() -> Iterator[Screen]:
    reader, writer = os.pipe()
    with open(os.devnull, "r+b") as nothing, Console(nothing.fileno(), nothing.fileno(), writer) as console:
        yield Screen(View(console, "Home"), reader)
    os.close(writer)
    os.close(reader)


async def test_every_frame_that_names_a_stream_says_where_the_next_output_begins(screen: Screen) -> None:
    screen.show("welcome", stream=OLD)
    await screen.view.output(b"\xe2\x82")  # bytes are counted, not characters
    assert screen.view.point == ("old", 12)
    screen.show("info", "left_out", "Questions to the terminal were left out.", stream={"id": "old", "offset": 20})
    assert screen.view.point == ("old", 20)
    screen.show("info", "lost_output", "9 bytes of output are lost.", stream={"id": "old", "offset": 29}, bytes=9)
    assert screen.view.point == ("old", 29)
    assert screen.told == "9 bytes of output are lost.\n"
    await screen.view.output(b"abc")
    screen.show("pong")
    assert screen.view.point == ("old", 32)


def test_another_stream_is_gone_on_with_only_when_it_is_known_whose_shell_it_is(screen: Screen) -> None:
    screen.show("welcome", stream=OLD)
    assert screen.view.is_attached
    screen.view.is_attached = False  # cut
    screen.show("welcome", stream=NEW)
    assert (screen.view.is_attached, screen.view.point) == (False, ("old", 10))
    screen.show("info", "reattached", stream=NEW)
    assert (screen.view.is_attached, screen.view.point) == (True, ("new", 0))


def test_a_lost_machine_takes_nothing_until_it_is_back(screen: Screen) -> None:
    screen.show("welcome", stream=OLD)
    screen.show("error", "terminal_not_ready", "The terminal is not ready yet.")
    assert not screen.view.is_attached
    screen.show("info", "reattached", stream=NEW)
    assert screen.view.is_attached


def test_a_server_may_let_one_only_look_on(screen: Screen) -> None:
    assert not screen.view.is_view
    screen.show("welcome", stream=OLD, mode="view")
    assert screen.view.is_view


def test_each_recording_is_remembered_once(screen: Screen) -> None:
    screen.show("welcome", stream=OLD, recording=None)
    assert screen.view.recordings == []
    for one in ("a", "a", "b"):
        screen.show("info", "reattached", stream=NEW, recording={"id": one})
    assert screen.view.recordings == ["a", "b"]


def test_what_ends_nothing_is_told_and_is_no_reason(screen: Screen) -> None:
    screen.show("welcome", stream=OLD)
    screen.show("error", "rate_limited", "Too much at once.", retry_after=2)
    assert (screen.told, screen.view.trouble) == ("Too much at once.\n", "")
    screen.show("error", "share_ended", "This link doesn't open anything any more.")
    assert screen.view.trouble == "This link doesn't open anything any more."


def test_a_name_is_as_the_server_has_it(screen: Screen) -> None:
    screen.show("welcome", stream=None, environment={"name": "My\x1b Machine", "phase": "installing"})
    assert (screen.view.name, screen.view.is_welcome, screen.view.is_attached) == ("My  Machine", True, False)
