"""Which tokens are believed: Google's own that are meant for us, and no others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from accounts import google
from accounts.models import User
from accounts.tests.google.issuer import ANDROID, IOS, KEY, LEAVE_OUT, STRANGERS_KEY, WEB, Issuer
from accounts.tests.google.signing_in import post, signed_in
from devpocket.tests import wire


def refused(token: str) -> dict[str, Any]:
    body = wire.check_refusal(post(token), 400, "google_token_invalid")
    assert body["errors"] == []
    assert not User.objects.exists()
    assert not SocialAccount.objects.exists()
    return body


@pytest.mark.django_db
@pytest.mark.parametrize("audience", [WEB, IOS, ANDROID])
@pytest.mark.parametrize("name", ["https://accounts.google.com", "accounts.google.com"])
def test_each_client_id_and_both_spellings_of_the_issuer_count(issuer: Issuer, audience: str, name: str) -> None:
    signed_in(post(issuer.token(aud=audience, iss=name)))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other.apps.example"},
        {"aud": LEAVE_OUT},
        {"aud": None},
        {"aud": 7},
        {"aud": [7]},
        {"aud": []},
        {"iss": "https://accounts.google.com.evil.example"},
        {"iss": LEAVE_OUT},
        {"iss": ["https://accounts.google.com"]},
        {"exp": 1},
        {"exp": LEAVE_OUT},
        {"exp": "soon"},
        {"exp": []},
        {"exp": float("inf")},
        {"iat": LEAVE_OUT},
        {"iat": 4102444800},
        {"nbf": 4102444800},
        {"email_verified": False},
        {"email_verified": LEAVE_OUT},
        {"email_verified": None},
        {"email_verified": "false"},
        {"email_verified": "true"},
        {"email": LEAVE_OUT},
        {"email": None},
        {"email": ""},
        {"email": 7},
        {"email": "no address"},
        {"email": "a\0@example.org"},
        {"email": f"{'x' * 64}@{'y' * 200}.example"},
        {"email": "x@" + ".".join(["\u0130" * 35] * 5) + ".example"},  # twice as long in lower case
        {"sub": LEAVE_OUT},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "1\0"},
        {"sub": "\u0661"},
        {"sub": "1" * 192},
    ],
    ids=str,
)
def test_a_token_that_says_something_wrong_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    refused(issuer.token(**claims))


@pytest.mark.django_db
@pytest.mark.parametrize("ahead_s", [5, -3605])
def test_a_clock_may_be_some_seconds_off(issuer: Issuer, ahead_s: int) -> None:
    now = int(time.time()) + ahead_s
    signed_in(post(issuer.token(iat=now, nbf=now, exp=now + 3600)))


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge_unsigned(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    return f"{encoded({'alg': 'none', 'kid': 'k1'})}.{payload}."


def forge_with_the_public_key_as_secret(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    text = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{payload}"
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def forge_with_the_certificate_as_secret(issuer: Issuer) -> str:
    _, payload, _ = issuer.token().split(".")
    text = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{payload}"
    secret = issuer.certificates["k1"].encode()
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def forge_other_claims(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{issuer.token(sub='other').split('.')[1]}.{signature}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "forge",
    [
        forge_unsigned,
        forge_with_the_public_key_as_secret,
        forge_with_the_certificate_as_secret,
        forge_other_claims,
        lambda issuer: issuer.token(key=STRANGERS_KEY),
        lambda issuer: issuer.token(headers={"kid": "unknown"}),
        lambda issuer: issuer.token(headers={}),
        lambda issuer: issuer.token(headers={"kid": "k1", "jku": "http://evil.example"}, key=STRANGERS_KEY),
        lambda issuer: issuer.token().rpartition(".")[0] + ".",
        lambda issuer: issuer.token().rpartition(".")[0],
        lambda issuer: f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.e30",
        lambda issuer: f"{encoded({'alg': 'RS256', 'kid': ['k1']})}.e30.e30",
        lambda issuer: f"{encoded({'alg': ['RS256'], 'kid': 'k1'})}.e30.e30",
        lambda issuer: f"{encoded({'kid': 'k1'})}.e30.e30",
        lambda issuer: f"{encoded([])}.e30.e30",
        lambda issuer: f"{encoded(b'[' * 2900)}.e30.e30",
        lambda issuer: f"{encoded(bytes([255]))}.e30.e30",
        lambda issuer: jwt.api_jws.encode(b"[]", KEY, algorithm="RS256", headers={"kid": "k1"}),
        lambda issuer: jwt.api_jws.encode(b"[" * 2000, KEY, algorithm="RS256", headers={"kid": "k1"}),
        lambda issuer: jwt.encode({}, KEY, algorithm="RS512", headers={"kid": "k1"}),
        lambda issuer: "garbage",
        lambda issuer: "\u6f22.\u5b57.x",
        lambda issuer: "..",
    ],
)
def test_a_token_that_google_did_not_sign_is_refused(issuer: Issuer, forge: Callable[[Issuer], str]) -> None:
    refused(forge(issuer))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_the_bytes_a_token_is_refused_and_no_bug(header: bytes, payload: bytes) -> None:
    with pytest.raises(google.GoogleTokenInvalid):
        google._verified_claims(f"{encoded(header)}.{encoded(payload)}.e30")


@pytest.mark.django_db
def test_the_same_token_is_good_for_another_sign_in(issuer: Issuer) -> None:
    """The phone's two HTTP stacks may both send it, and one whose answer was lost sends it again."""
    token = issuer.token()
    first, second = signed_in(post(token)), signed_in(post(token))
    assert (first["created"], second["created"]) == (True, False)
    assert first["access_token"] != second["access_token"]
