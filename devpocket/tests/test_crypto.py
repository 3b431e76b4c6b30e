"""Secrets at rest: what is encrypted, and how a key is rotated."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import InvalidToken
from django.db import connection
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import PlatformKey
from accounts.services import SignIn
from devpocket.crypto import EncryptedJSONField, EncryptedTextField, decrypt, encrypt

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_encrypted_comes_back(plain: str) -> None:
    sealed = encrypt(plain)
    assert sealed != encrypt(plain)  # a fresh nonce each time
    assert decrypt(sealed) == plain


@hypothesis_settings(max_examples=50, deadline=None)
@given(JSON)
def test_json_comes_back(value: Any) -> None:
    field = EncryptedJSONField()
    assert field.from_db_value(field.get_prep_value(value), None, None) == value


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_text_stays_empty(empty: str | None) -> None:
    field = EncryptedTextField()
    assert field.from_db_value(field.get_prep_value(empty), None, None) == empty


def test_a_new_first_key_encrypts_and_the_old_one_still_decrypts(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    before = encrypt("secret")
    settings.FIELD_ENCRYPTION_KEYS = ["new", "old"]
    after = encrypt("secret")
    assert (decrypt(before), decrypt(after)) == ("secret", "secret")

    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert decrypt(after) == "secret"
    with pytest.raises(InvalidToken):
        decrypt(before)


def test_a_changed_character_is_noticed() -> None:
    sealed = encrypt("secret")
    with pytest.raises(InvalidToken):
        decrypt(sealed[:-4] + ("AAA=" if sealed[-4:] != "AAA=" else "BBB="))


def test_rows_are_readable_after_a_rotation(ann: SignIn, settings: Any) -> None:
    plain = PlatformKey.objects.get().private_key
    settings.FIELD_ENCRYPTION_KEYS = ["new", *settings.FIELD_ENCRYPTION_KEYS]
    key = PlatformKey.objects.get()
    assert key.private_key == plain
    key.save()

    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert PlatformKey.objects.get().private_key == plain
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM accounts_platformkey")
        assert plain not in cursor.fetchone()[0]
