"""allauth around the sign-in with Google: its tables and its provider, and none of its pages."""

from __future__ import annotations

import pytest
from allauth.socialaccount.providers import registry
from django.core.management import call_command
from django.urls import NoReverseMatch, reverse

from accounts import google


def test_no_page_of_allauth_is_routed() -> None:
    for name in ("account_login", "account_signup", "google_login", "google_callback", "socialaccount_connections"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


@pytest.mark.django_db
def test_its_migrations_are_complete() -> None:
    call_command("makemigrations", "account", "socialaccount", check=True, dry_run=True, verbosity=0)


def test_our_check_of_tokens_is_the_one_that_allauth_uses() -> None:
    assert registry.get_class("google") is google.IdTokenProvider
