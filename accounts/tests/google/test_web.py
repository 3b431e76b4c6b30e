"""POST /web/google: as /auth/google, with the refresh token in a cookie."""

from __future__ import annotations

import pytest

from accounts.tests.browser import browser, check_signed_in, post
from accounts.tests.google.issuer import Issuer
from devpocket.tests import wire


@pytest.mark.django_db
def test_a_browser_is_told_whether_the_account_is_new(issuer: Issuer) -> None:
    for created in (True, False):
        response = post(browser(), "google", {"id_token": issuer.token()})
        assert check_signed_in(response, more={"created": wire.flag})["created"] is created


@pytest.mark.django_db
def test_a_token_that_google_did_not_sign_sets_no_cookie(issuer: Issuer) -> None:
    response = post(browser(), "google", {"id_token": "x"})
    wire.check_refusal(response, 400, "google_token_invalid")
    assert not response.cookies
