"""Google's keys: fetched when they are needed, and what happens when they can't be."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.response import Response

from accounts import google
from accounts.tests.google.issuer import NEXT_KEY, Issuer, certificate_of
from accounts.tests.google.signing_in import post, signed_in
from devpocket.tests import wire


@pytest.mark.django_db
def test_the_certificates_are_fetched_once_for_many_sign_ins(issuer: Issuer) -> None:
    for _ in range(5):
        signed_in(post(issuer.token()))
    assert issuer.fetches == 1


@pytest.mark.django_db
def test_a_new_key_of_google_is_fetched_when_a_token_names_it(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    cache.delete(google.ASKED_CACHE)  # a minute later
    issuer.certificates["k2"] = certificate_of(NEXT_KEY)
    signed_in(post(issuer.token(NEXT_KEY, {"kid": "k2"})))
    assert issuer.fetches == 2


@pytest.mark.django_db
def test_made_up_key_ids_cost_no_more_than_a_fetch_a_minute(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    for fetches in (1, 2):
        for number in range(3):
            wire.check_refusal(post(issuer.token(headers={"kid": f"x{number}"})), 400, "google_token_invalid")
        assert issuer.fetches == fetches
        cache.delete(google.ASKED_CACHE)  # a minute later
    signed_in(post(issuer.token()))


def is_unreachable(response: Response) -> None:
    body = wire.check_refusal(response, 503, "service_unavailable")
    assert body["retry_after"] == google.RETRY_AFTER_S


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (404, b"{}"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"k1": 7}'),
        (200, b'{"k1": "no certificate"}'),
        (200, b"\xff"),
    ],
)
def test_an_answer_without_certificates_is_an_outage_of_google(issuer: Issuer, status: int, body: bytes) -> None:
    issuer.status, issuer.body = status, body
    is_unreachable(post(issuer.token()))
    issuer.status, issuer.body = 200, None
    signed_in(post(issuer.token()))


@pytest.mark.django_db
def test_nobody_listening_is_an_outage_of_google(issuer: Issuer, settings: Any) -> None:
    settings.GOOGLE_CERTS_URL = "http://127.0.0.1:1/certs"
    is_unreachable(post(issuer.token()))


@pytest.mark.django_db
def test_an_outage_does_not_concern_those_whose_key_is_known(issuer: Issuer) -> None:
    signed_in(post(issuer.token()))
    cache.delete(google.ASKED_CACHE)
    issuer.status = 500
    token = issuer.token(NEXT_KEY, {"kid": "k2"})
    is_unreachable(post(token))
    signed_in(post(issuer.token()))
    issuer.status, issuer.certificates["k2"] = 200, certificate_of(NEXT_KEY)
    signed_in(post(token))


@pytest.mark.django_db
def test_a_google_that_hangs_is_waited_for_within_a_limit_and_asked_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert google.FETCH_LIMIT_S <= 5
    monkeypatch.setattr(google, "FETCH_LIMIT_S", 0.1)
    issuer.answers.clear()
    began = time.monotonic()
    for _ in range(3):
        is_unreachable(post(issuer.token()))
    assert time.monotonic() - began < google.TIMEOUTS_S[1]
    issuer.answers.set()
    assert google.fetcher._fetch is not None
    assert set(google.fetcher._fetch.result(5)) == {"k1"}
    assert issuer.fetches == 1
