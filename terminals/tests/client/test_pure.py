"""The pure parts of the terminal client, and its console without a server."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.client import frames
from terminals.client.api import Api, Environment, Wish, choose
from terminals.client.backoff import FIRST_S, LONGEST_S, delays
from terminals.client.errors import ClientError
from terminals.client.escape import Command, EscapeParser
from terminals.client.links import GuestLink, parse_link
from terminals.client.modes import ModeTracker
from terminals.client.notices import banner, status_line

KEYS = st.lists(st.sampled_from([b"~", b".", b"?", b"\r", b"\n", b"a", b"\xc3\xa4"]), max_size=12).map(b"".join)


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


def test_where_nothing_is_typed_an_escape_counts_anywhere() -> None:
    parser = EscapeParser()
    parser.anywhere = True
    assert parser.feed(b"a~?b~~c~.") == [b"a", Command.HELP, b"b~c", Command.LEAVE]


@given(KEYS, st.data())
def test_it_does_not_matter_how_the_keys_arrive(keys: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(keys)), max_size=5)))
    pieces = [keys[first:last] for first, last in itertools.pairwise([0, *cuts, len(keys)])]
    assert fed(*pieces) == fed(keys)


@given(st.binary(max_size=60).filter(lambda data: b"~" not in data))
def test_bytes_without_an_escape_go_through_unchanged(data: bytes) -> None:
    assert b"".join(part for part in fed(data) if isinstance(part, bytes)) == data


PIECES = st.sampled_from(
    rb"\e[?1049h \e[?1049l \e[?25l \e[?25h \e[?1;2004h \e[?1006l \e= \e> \e[31m text \e[? \e".replace(
        rb"\e", b"\x1b"
    ).split()
)


@given(st.lists(PIECES, max_size=10).map(b"".join), st.data())
def test_modes_are_found_however_the_output_is_cut(output: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(output)))
    whole, halves = ModeTracker(), ModeTracker()
    whole.feed(output)
    halves.feed(output[:cut])
    halves.feed(output[cut:])
    assert halves.undo() == whole.undo()


def test_what_is_on_is_switched_off_and_the_alternate_screen_is_left_last() -> None:
    modes = ModeTracker()
    modes.feed(b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l\x1b[?1000;1006h\x1b[?2004h")
    assert modes.is_alternate
    undone = modes.undo()
    assert set(re.findall(r"\x1b\[\?(\d+)l", undone)) == {"1", "1000", "1006", "2004", "1049"}
    assert "\x1b[?25h" in undone
    assert "\x1b>" in undone
    assert undone.endswith("\x1b[?1049l")
    modes.feed(undone.encode())
    assert modes.undo() == ""
    assert not modes.is_alternate


def test_a_terminal_that_was_left_in_order_is_not_touched() -> None:
    modes = ModeTracker()
    modes.feed(b"\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l")
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
        api.terminal_url("7f", Wish("two"), resume=("a/b", 12))
        == "wss://example.org/pocket/api/v1/ws/terminal/7f?session=two&stream=a%2Fb&offset=12"
    )


def test_the_socket_s_address_has_what_is_asked_for() -> None:
    api = Api("https://example.org")
    for wish, query in (
        (Wish(is_view=True), "?mode=view"),
        (Wish(is_plain=True), "?tmux=0"),
        (Wish(records=True), "?record=1"),
        (Wish(records=False), "?record=0"),
        (Wish(), ""),
    ):
        assert api.terminal_url("7f", wish) == f"wss://example.org/api/v1/ws/terminal/7f{query}"


def test_a_guest_s_token_takes_the_place_of_a_sign_in() -> None:
    guest = Api("https://example.org", share="secret")
    assert (guest.terminal_headers(), guest.terminal_subprotocols()[-2:]) == ({}, ["share", "secret"])
    assert "secret" not in guest.terminal_url("7f")
    owner = Api("https://example.org", access_token="secret")
    assert owner.terminal_headers() == {"Authorization": "Bearer secret"}
    assert "secret" not in owner.terminal_subprotocols()


LINK = f"https://example.org/pocket/t#{ALPHA.id}.secret-token_1"


@pytest.mark.parametrize(
    ("text", "environment", "url"),
    [
        (LINK, "", "https://example.org/pocket"),
        (LINK, ALPHA.id.upper(), "https://example.org/pocket"),
        (f" {LINK}\n", "", "https://example.org/pocket"),
        ("http://127.0.0.1:8000/t#secret-token_1", ALPHA.id, "http://127.0.0.1:8000"),
        (f"{ALPHA.id}.secret-token_1", "", ""),
        (f"#{ALPHA.id}.secret-token_1", "", ""),
        ("secret-token_1", ALPHA.id, ""),
    ],
)
def test_a_guest_link_is_read(text: str, environment: str, url: str) -> None:
    assert parse_link(text, environment) == GuestLink(url, ALPHA.id, "secret-token_1")


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ("", "", "no guest link"),
        ("https://example.org/t#", ALPHA.id, "no guest link"),
        ("https://example.org/t", ALPHA.id, "no guest link"),
        ("https://example.org/x#secret", ALPHA.id, "no guest link"),
        ("ftp://example.org/t#secret", ALPHA.id, "no guest link"),
        ("example.org/t#secret", ALPHA.id, "no guest link"),
        ("secret, bearer", ALPHA.id, "no guest link"),
        ("secret", "", "does not say of which environment"),
        ("secret", "Alpha", "named by its id"),
        ("Alpha.secret", "", "named by its id"),
        (LINK, BETA.id, "another environment"),
    ],
)
def test_what_is_no_guest_link_is_refused_without_telling_its_token(text: str, environment: str, told: str) -> None:
    with pytest.raises(ClientError, match=told) as raised:
        parse_link(text, environment)
    assert "secret" not in str(raised.value)
