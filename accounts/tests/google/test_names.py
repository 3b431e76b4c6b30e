"""Names and pictures that new accounts take over from Google."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import google
from accounts.tests.google.issuer import LEAVE_OUT, Issuer
from accounts.tests.google.signing_in import post, signed_in


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("grace.hopper@example.org", "grace-hopper"),
        ("grace_hopper+spam@example.org", "grace_hopper"),
        ("jos\u00e9.nu\u00f1ez@example.org", "jose-nunez"),
        ("\u6f22\u5b57@example.org", "user"),
        ("al@example.org", "user-al"),
        ("+x@example.org", "user"),
        ("...a...@example.org", "user-a"),
        (f"{'x' * 64}@example.org", "x" * 30),
        ('"a@b c"@example.org', "a-b-c"),
    ],
)
def test_the_username_resembles_the_address(email: str, name: str) -> None:
    assert google.username_from(email) == name


@given(st.text() | st.emails())
def test_whatever_the_address_the_username_is_valid(email: str) -> None:
    assert re.match(r"[A-Za-z0-9_-]{3,30}\Z", google.username_from(email))


@pytest.mark.django_db
@pytest.mark.parametrize("taken", ["Grace-Hopper", "grace-hopper"])
def test_a_name_that_is_taken_in_any_case_gets_digits(issuer: Issuer, sign_up: Any, taken: str) -> None:
    sign_up(taken)
    name = signed_in(post(issuer.token()))["user"]["username"]
    assert re.match(r"grace-hopper-\d{6}\Z", name)


@pytest.mark.django_db
def test_a_long_name_that_is_taken_stays_within_the_limit(issuer: Issuer) -> None:
    names = [
        signed_in(post(issuer.token(sub=domain, email=f"{'x' * 40}@{domain}.example")))["user"]["username"]
        for domain in ("a", "b", "c")
    ]
    assert [len(name) for name in names] == [30] * 3
    assert len(set(names)) == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("claim", "kept"),
    [
        (LEAVE_OUT, None),
        (None, None),
        (7, None),
        ("  ", None),
        ("\0\n", None),
        (" Zo\u00eb\0 \ud800Q ", "Zo\u00eb Q"),
        ("n" * 101, "n" * 100),
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
    ],
)
def test_a_name_is_taken_over_as_far_as_it_can_be_stored(issuer: Issuer, claim: Any, kept: str | None) -> None:
    assert signed_in(post(issuer.token(name=claim)))["user"]["full_name"] == kept


@pytest.mark.django_db
@pytest.mark.parametrize(
    "claim",
    [
        LEAVE_OUT,
        None,
        7,
        "",
        "no address",
        "javascript:alert(1)",
        "http://x.example/",
        f"https://x.example/{'p' * 500}",
    ],
)
def test_a_picture_that_is_no_https_address_is_left_out(issuer: Issuer, claim: Any) -> None:
    assert signed_in(post(issuer.token(picture=claim)))["user"]["avatar_url"] is None
