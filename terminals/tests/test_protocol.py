"""Contract 9.2, row by row."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.protocol import (
    BadFrame,
    Ignored,
    Input,
    Ping,
    Resize,
    ResumePoint,
    parse_frame,
    parse_ping,
    parse_resume,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = ["type", "data", "cols", "rows", "metadata"]
FRAMES = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["input", "resize", "ping"]))


def parsed(**frame: Any) -> object:
    return parse_frame(json.dumps(frame))


def refusal(raw: str | bytes) -> str:
    with pytest.raises(BadFrame) as caught:
        parse_frame(raw)
    return caught.value.code


@pytest.mark.parametrize("text", ["a", "\r", "\n", "\x03", "\x1b[A", "naïve 日本 🙂", "\x00\x7f", "x" * 65536])
def test_input_is_passed_on_unchanged(text: str) -> None:
    assert parsed(type="input", data=text) == Input(text.encode())


def test_input_of_more_than_64_kib_is_refused() -> None:
    assert refusal(json.dumps({"type": "input", "data": "x" * 65537})) == "invalid_message"
    assert refusal(json.dumps({"type": "input", "data": "é" * 32769})) == "invalid_message"


def test_empty_input_means_nothing() -> None:
    assert parsed(type="input", data="") == Ignored()


@pytest.mark.parametrize("data", [None, 7, ["a"], {"a": "b"}, True])
def test_input_that_is_no_text_is_refused(data: object) -> None:
    assert refusal(json.dumps({"type": "input", "data": data})) == "invalid_message"
    assert refusal('{"type": "input"}') == "invalid_message"


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert parse_frame('{"type":"input","data":"a\\ud800b"}') == Input(b"a?b")


@pytest.mark.parametrize(
    ("cols", "rows", "expected"),
    [
        (80, 24, Resize(80, 24)),
        (1, 1, Resize(1, 1)),
        (500, 200, Resize(500, 200)),
        (501, 201, Resize(500, 200)),
        (10**30, 10**30, Resize(500, 200)),
        (80.0, 24.9, Resize(80, 24)),
        (0, 24, Ignored()),
        (80, 0, Ignored()),
        (-1, 24, Ignored()),
        (None, 24, Ignored()),
        ("80", "24", Ignored()),
        (True, True, Ignored()),
        (float("nan"), 24, Ignored()),
        (float("inf"), 24, Resize(500, 24)),
        (float("-inf"), 24, Ignored()),
    ],
)
def test_resize_is_clamped_or_ignored(cols: object, rows: object, expected: object) -> None:
    assert parsed(type="resize", cols=cols, rows=rows) == expected
    assert parsed(type="resize", metadata={"cols": cols, "rows": rows}) == expected


@pytest.mark.parametrize("frame", [{}, {"cols": 80}, {"rows": 24}, {"metadata": None}, {"metadata": [80, 24]}])
def test_resize_without_a_size_is_ignored(frame: dict[str, Any]) -> None:
    assert parsed(type="resize", **frame) == Ignored()


def test_ping() -> None:
    assert parsed(type="ping", anything="else") == Ping()


@pytest.mark.parametrize("frame", [{}, {"type": None}, {"type": "PING"}, {"type": ["ping"]}, {"data": "ls"}])
def test_other_types_are_unknown(frame: dict[str, Any]) -> None:
    assert refusal(json.dumps(frame)) == "unknown_type"


@pytest.mark.parametrize("raw", ["", "ls\r", "{", '{"type":"ping"} x', "[]", '"ping"', "7", "null", "[" * 60_000])
def test_what_is_not_a_json_object_is_invalid(raw: str) -> None:
    assert refusal(raw) == "invalid_message"
    assert refusal(raw.encode()) == "invalid_message"


def test_deeply_nested_json_is_invalid() -> None:
    assert refusal('{"type":' * 8000 + "1" + "}" * 8000) == "invalid_message"


def test_a_binary_frame_holds_the_same_json() -> None:
    assert parse_frame('{"type":"input","data":"é"}'.encode()) == Input("é".encode())


@given(st.text() | st.binary() | JSON.map(json.dumps) | FRAMES.map(json.dumps))
def test_the_parser_is_total(raw: str | bytes) -> None:
    with suppress(BadFrame):
        frame = parse_frame(raw)
        assert not isinstance(frame, Resize) or (1 <= frame.cols <= 500 and 1 <= frame.rows <= 200)


@given(st.text() | st.binary() | JSON.map(json.dumps) | FRAMES.map(json.dumps))
def test_where_there_is_nothing_but_a_ping_all_else_is_a_bad_frame(raw: str | bytes) -> None:
    with suppress(BadFrame):
        assert parse_ping(raw) == parse_frame(raw) == Ping()


@pytest.mark.parametrize("raw", ['{"type": "input", "data": "x"}', '{"type": "resize"}', '{"type": "dance"}'])
def test_what_another_socket_would_take_is_an_unknown_type(raw: str) -> None:
    with pytest.raises(BadFrame) as caught:
        parse_ping(raw)
    assert caught.value.code == "unknown_type"


def test_a_resume_point_needs_both_halves() -> None:
    assert parse_resume("abc", "17") == ResumePoint("abc", 17)
    for stream, offset in [(None, "1"), ("abc", None), ("", "1"), ("abc", ""), ("abc", "-1"), ("abc", "1.5")]:
        assert parse_resume(stream, offset) is None


@given(st.none() | st.text(), st.none() | st.text(st.characters(categories=["N", "P", "L"])))
def test_reading_a_resume_point_is_total(stream: str | None, offset: str | None) -> None:
    point = parse_resume(stream, offset)
    assert point is None or point.offset >= 0
