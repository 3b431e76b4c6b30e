"""The pure parts of the terminal client, and its console without a server."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.client import frames
from terminals.client.api import Api, Environment, choose
from terminals.client.backoff import FIRST_S, LONGEST_S, delays
from terminals.client.errors import ClientError
from terminals.client.escape import Command, EscapeParser
from terminals.client.modes import ModeTracker
from terminals.client.notices import banner, status_line
from terminals.client.outbox import Outbox
from terminals.protocol import Input, parse_frame

KEYS = st.lists(st.sampled_from([b"~", b".", b"?", b"\r", b"\n", b"a", b"\xc3\xa4"]), max_size=12).map(b"".join)
MESSAGE_LIMIT_BYTES = 64 * 1024  # contract 9.1


def fed(*pieces: bytes) -> list[bytes | Command]:
    """What a parser gives for the pieces, its neighbouring bytes joined."""
    parser, found = EscapeParser(), []
    for part in itertools.chain.from_iterable(parser.feed(piece) for piece in pieces):
        if found and isinstance(part, bytes) and isinstance(found[-1], bytes):
            found[-1] += part
        else:
            found.append(part)
    return found


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (b"~.", [Command.LEAVE]),
        (b"ls\r~.", [b"ls\r", Command.LEAVE]),
        (b"ls\n~.", [b"ls\n", Command.LEAVE]),
        (b"a~.", [b"a~."]),
        (b"~~.", [b"~."]),
        (b"~~\r~.", [b"~\r", Command.LEAVE]),
        (b"cd ~\r", [b"cd ~\r"]),
        (b"~/bin\r", [b"~/bin\r"]),
        (b"~\r~.", [b"~\r", Command.LEAVE]),
        (b"~?~.", [Command.HELP, Command.LEAVE]),
        (b"~", []),
    ],
)
def test_an_escape_counts_at_the_start_of_a_line_only(typed: bytes, expected: list[bytes | Command]) -> None:
    assert fed(typed) == expected


@given(KEYS, st.data())
def test_it_does_not_matter_how_the_keys_arrive(keys: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(keys)), max_size=5)))
    pieces = [keys[first:last] for first, last in itertools.pairwise([0, *cuts, len(keys)])]
    assert fed(*pieces) == fed(keys)


@given(st.binary(max_size=60).filter(lambda data: b"~" not in data))
def test_bytes_without_an_escape_go_through_unchanged(data: bytes) -> None:
    assert b"".join(part for part in fed(data) if isinstance(part, bytes)) == data


@given(
    st.lists(st.text(max_size=50), max_size=5), st.sampled_from(["\x1b", "ä", "😀", '"\\', "x"]), st.integers(0, 20000)
)
def test_messages_fit_and_hold_all_that_was_typed_in_order(texts: list[str], filler: str, count: int) -> None:
    outbox, sent = Outbox(), b""
    for text in [*texts, filler * count]:
        outbox.put(text)
    while text := outbox.first():
        message = frames.typed(text)
        assert len(message.encode()) < MESSAGE_LIMIT_BYTES
        command = parse_frame(message)
        assert isinstance(command, Input)
        sent += command.data
        outbox.sent(text)
    assert sent == ("".join(texts) + filler * count).encode()


def test_a_full_outbox_keeps_the_oldest() -> None:
    outbox = Outbox(limit=3)
    outbox.put("abc")
    assert not outbox.is_full
    outbox.put("de")
    assert outbox.is_full
    outbox.forget_surplus()
    assert (outbox.first(), outbox.is_full) == ("abc", False)


PIECES = st.sampled_from(
    "\x1b[?1049h \x1b[?1049l \x1b[?25l \x1b[?25h \x1b[?1;2004h \x1b[?1006l \x1b= \x1b> \x1b[31m text \x1b[? \x1b".split(
        " "
    )
)


@given(st.lists(PIECES, max_size=10).map("".join), st.data())
def test_modes_are_found_however_the_output_is_cut(output: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(output)))
    whole, halves = ModeTracker(), ModeTracker()
    whole.feed(output)
    halves.feed(output[:cut])
    halves.feed(output[cut:])
    assert halves.undo() == whole.undo()


def test_what_is_on_is_switched_off_and_the_alternate_screen_is_left_last() -> None:
    modes = ModeTracker()
    modes.feed("\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l\x1b[?1000;1006h\x1b[?2004h")
    undone = modes.undo()
    assert set(re.findall(r"\x1b\[\?(\d+)l", undone)) == {"1", "1000", "1006", "2004", "1049"}
    assert "\x1b[?25h" in undone
    assert "\x1b>" in undone
    assert undone.endswith("\x1b[?1049l")
    modes.feed(undone)
    assert modes.undo() == ""


def test_a_terminal_that_was_left_in_order_is_not_touched() -> None:
    modes = ModeTracker()
    modes.feed("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l")
    assert modes.undo() == ""


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)), st.integers(4, 300))
def test_what_the_client_says_fits_one_row(text: str, cols: int) -> None:
    for drawn in (status_line(text, cols), banner(text, cols)):
        assert len(re.sub(r"\x1b\[[0-9;]*[a-zA-Z]|\x1b[78\\]|\r", "", drawn)) <= cols


def test_a_message_of_the_server_can_not_steer_the_terminal() -> None:
    assert frames.text_of({"message": "a\x1b[2Jb\r\nc"}, "message") == "a [2Jb  c"
    assert frames.text_of({}, "message") == ""


@pytest.mark.parametrize("raw", ["", "[]", "1", "{", b"\xff"])
def test_a_frame_that_is_none_is_passed_over(raw: str | bytes) -> None:
    assert frames.decode(raw) == {}


@pytest.mark.parametrize("stream", [None, [], {}, {"id": "a"}, {"id": 1, "offset": 2}, {"id": "a", "offset": "2"}])
def test_a_stream_that_is_none_is_no_place_to_resume(stream: object) -> None:
    assert frames.stream_point({"stream": stream}) is None


def test_delays_grow_to_ten_seconds_and_never_are_all_the_same() -> None:
    waits = list(itertools.islice(delays(), 12))
    assert FIRST_S / 2 <= waits[0] <= FIRST_S
    assert all(LONGEST_S / 2 <= wait <= LONGEST_S for wait in waits[-5:])
    assert len(set(waits)) == len(waits)


ALPHA = Environment("11111111-1111-4111-8111-111111111111", "Alpha", "alpha-111111", "running")
UPPER = Environment("22222222-2222-4222-8222-222222222222", "ALPHA", "alpha-222222", "stopped")
BETA = Environment("33333333-3333-4333-8333-333333333333", "My Beta", "my-beta-333333", "running")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ALPHA.id, ALPHA),
        (ALPHA.id.upper(), ALPHA),
        ("Alpha", ALPHA),
        ("ALPHA", UPPER),
        ("my beta", BETA),
        ("My-Beta-333333", BETA),
    ],
)
def test_an_environment_is_found_by_id_name_or_slug(wanted: str, expected: Environment) -> None:
    assert choose([ALPHA, UPPER, BETA], wanted) == expected


def test_an_ambiguous_name_lists_who_is_meant() -> None:
    with pytest.raises(ClientError) as raised:
        choose([ALPHA, UPPER, BETA], "alpha")
    assert ALPHA.id in str(raised.value)
    assert UPPER.id in str(raised.value)
    assert BETA.id not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://example.org", "http://", "http://a:b@example.org", "http://example.org/?a=b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="is no address"):
        Api(url)


def test_the_socket_s_address_has_the_place_to_resume_and_no_token() -> None:
    api = Api("https://example.org/pocket/", access_token="secret")
    assert api.terminal_url("7f") == "wss://example.org/pocket/api/v1/ws/terminal/7f"
    assert (
        api.terminal_url("7f", session="two", resume=("a/b", 12))
        == "wss://example.org/pocket/api/v1/ws/terminal/7f?session=two&stream=a%2Fb&offset=12"
    )


def test_a_typed_message_is_json_with_the_text_as_it_is() -> None:
    assert json.loads(frames.typed("é\r\x03")) == {"type": "input", "data": "é\r\x03"}
