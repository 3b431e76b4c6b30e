"""Secrets at rest: model fields whose column holds Fernet text (AES-128-CBC with HMAC-SHA256).

FIELD_ENCRYPTION_KEYS: the first key encrypts, every key decrypts, so a key is rotated without downtime.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import connection, models

PAGE_ROWS = 1000


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


def key_number(sealed: str) -> int | None:
    """Which of FIELD_ENCRYPTION_KEYS it was encrypted with, from 0; None where no key fits."""
    for number, key in enumerate(settings.FIELD_ENCRYPTION_KEYS):
        try:
            _fernet((key,)).decrypt(sealed.encode())
        except InvalidToken:
            continue
        return number
    return None


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


def encrypted_columns() -> Iterator[tuple[type[models.Model], models.Field[Any, Any]]]:
    """Every column of every app that holds secrets."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField | EncryptedJSONField):
                yield model, field


def sealed_rows(model: type[models.Model], field: models.Field[Any, Any]) -> Iterator[tuple[Any, str]]:
    """The primary key and the encrypted text of each row that has one, a page at a time, by primary key."""
    quote = connection.ops.quote_name
    table, column, key = quote(model._meta.db_table), quote(field.column), quote(model._meta.pk.column)
    query = f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL AND {column} <> ''"  # noqa: S608
    after: list[Any] = []
    while True:
        following = f" AND {key} > %s" if after else ""
        with connection.cursor() as cursor:
            cursor.execute(f"{query}{following} ORDER BY {key} LIMIT {PAGE_ROWS}", after)
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < PAGE_ROWS:
            return
        after = [rows[-1][0]]
