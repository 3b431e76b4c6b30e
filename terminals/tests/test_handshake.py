"""What a client asks for when it connects."""

from __future__ import annotations

from typing import Any

import pytest

from terminals.handshake import Handshake, read_handshake
from terminals.protocol import ResumePoint


def handshake(query: str = "", *, headers: Any = (), subprotocols: Any = ()) -> Handshake:
    return read_handshake(
        {
            "query_string": query.encode(),
            "headers": list(headers),
            "subprotocols": list(subprotocols),
            "url_route": {"kwargs": {"environment_id": "home"}},
        }
    )


def test_nothing_is_asked_for() -> None:
    assert handshake() == Handshake(environment_id="home")


@pytest.mark.parametrize(
    ("options", "token", "confirmed"),
    [
        ({"query": "token=abc"}, "abc", None),
        ({"headers": [(b"authorization", b"Bearer abc ")]}, "abc", None),
        ({"headers": [(b"authorization", b"bearer abc")]}, "abc", None),
        ({"headers": [(b"authorization", b"Basic abc")]}, "", None),
        ({"subprotocols": ["bearer", "abc"]}, "abc", "bearer"),
        ({"subprotocols": ["devpocket.v1.binary", "bearer", "abc"]}, "abc", "devpocket.v1.binary"),
        ({"subprotocols": ["bearer", "abc", "devpocket.v1.binary"]}, "abc", "devpocket.v1.binary"),
        ({"subprotocols": ["bearer"]}, "", "bearer"),
        ({"subprotocols": ["mqtt"]}, "", None),
        ({"query": "token=abc", "subprotocols": ["bearer", "xyz"]}, "abc", "bearer"),
    ],
)
def test_the_token(options: dict[str, Any], token: str, confirmed: str | None) -> None:
    found = handshake(**options)
    assert (found.token, found.subprotocol) == (token, confirmed)
    assert token == "" or token not in repr(found)


def test_a_ticket_and_a_link() -> None:
    assert handshake("ticket=t1").ticket == "t1"
    assert handshake("share=s1").share == "s1"
    by_protocol = handshake(subprotocols=["share", "s1"])
    assert (by_protocol.share, by_protocol.subprotocol) == ("s1", "share")
    assert "s1" not in repr(by_protocol)


def test_without_credentials_the_rest_stays() -> None:
    asked = handshake("token=a&ticket=b&share=c&session=work&mode=view")
    assert asked.without_credentials() == Handshake(environment_id="home", session="work", is_view=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("mode=view", {"is_view": True}),
        ("mode=write", {}),
        ("mode=nonsense", {}),
        ("tmux=0", {"is_plain": True}),
        ("tmux=false", {"is_plain": True}),
        ("tmux=1", {}),
        ("record=1", {"records": True}),
        ("record=0", {"records": False}),
        ("session=work", {"session": "work"}),
        ("stream=abc&offset=12", {"resume": ResumePoint("abc", 12)}),
        ("stream=abc&offset=-1", {}),
        ("stream=abc&offset=x", {}),
        ("offset=12", {}),
        ("%ff=%fe&mode=view", {"is_view": True}),
    ],
)
def test_the_query(query: str, expected: dict[str, Any]) -> None:
    assert handshake(query) == Handshake(environment_id="home", **expected)
