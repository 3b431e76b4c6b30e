"""camelCase spellings of request fields (contract section 1)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devpocket.parsers import snake_case_keys


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("usernameOrEmail", "username_or_email"),
        ("fullName", "full_name"),
        ("refreshToken", "refresh_token"),
        ("currentPassword", "current_password"),
        ("newPassword", "new_password"),
        ("avatarUrl", "avatar_url"),
        ("templateId", "template_id"),
        ("environmentVariables", "environment_variables"),
    ],
)
def test_the_contracts_spellings(camel: str, snake: str) -> None:
    assert snake_case_keys({camel: 1}) == {snake: 1}


@pytest.mark.parametrize("body", [{"fullName": 1, "full_name": 2}, {"full_name": 2, "fullName": 1}])
def test_snake_case_wins_in_any_order(body: dict[str, Any]) -> None:
    assert snake_case_keys(body) == {"full_name": 2}


def test_an_explicit_null_in_snake_case_wins_too() -> None:
    assert snake_case_keys({"full_name": None, "fullName": "x"}) == {"full_name": None}


def test_what_lies_below_is_data_and_keeps_its_case() -> None:
    assert snake_case_keys({"environmentVariables": {"myKey": 1}}) == {"environment_variables": {"myKey": 1}}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(st.characters(), max_size=12), st.integers(), max_size=6))
def test_every_object_is_taken_and_snake_case_stays(body: dict[str, int]) -> None:
    renamed = snake_case_keys(body)
    assert snake_case_keys(renamed).keys() <= renamed.keys() | snake_case_keys(renamed).keys()
    assert set(renamed.values()) <= set(body.values())
    assert all(renamed[key] == value for key, value in body.items() if key == key.lower())
