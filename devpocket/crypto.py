"""Secrets at rest: model fields whose column holds Fernet text (AES-128-CBC with HMAC-SHA256).

FIELD_ENCRYPTION_KEYS: the first key encrypts, every key decrypts, so a key is rotated without downtime.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    # Hashed, so that a key may be any random text and not only base64 of exactly 32 bytes.
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])


def encrypt(plain: str) -> str:
    """Text that only FIELD_ENCRYPTION_KEYS can read back."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plain.encode()).decode()


def decrypt(sealed: str) -> str:
    """The text given to `encrypt`. Raises: cryptography.fernet.InvalidToken, where no key fits."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(sealed.encode()).decode()


class EncryptedTextField(models.TextField):
    """Text, encrypted in the database. Not searchable; empty stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return decrypt(value) if value else value


class EncryptedJSONField(models.TextField):
    """A JSON value, encrypted in the database."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(json.dumps(value, sort_keys=True))

    def from_db_value(self, value: str, _expression: Any, _connection: Any) -> Any:
        return json.loads(decrypt(value))

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj))
