"""manage.py rotate_encryption_keys: write every secret anew with the first of FIELD_ENCRYPTION_KEYS.

Put the new key in front, restart the servers, run this, and then take the old key away. It may be run again, and
while the servers run: each row is written only if it still is as it was read.
"""

from __future__ import annotations

from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, models
from django.utils.module_loading import import_string

from devpocket.crypto import decrypt, encrypt, encrypted_columns, sealed_rows


class Command(BaseCommand):
    help = "Encrypt every stored secret anew with the first of FIELD_ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        for model, field in encrypted_columns():
            self.stdout.write(f"{model._meta.label}.{field.name}: {rotate(model, field)} rewritten")
        for name in settings.ENCRYPTED_ELSEWHERE:
            try:
                self.stdout.write(f"{name}: {import_string(name)()} rewritten")
            except InvalidToken as error:
                raise CommandError(f"{name}: one can't be read with any of FIELD_ENCRYPTION_KEYS.") from error


def rotate(model: type[models.Model], field: models.Field[Any, Any]) -> int:
    """Rewrite one column, whatever its field makes of it; how many rows. Raises: CommandError, where no key fits."""
    quote = connection.ops.quote_name
    table, column = quote(model._meta.db_table), quote(field.column)
    key = quote(model._meta.pk.column)
    rewritten = 0
    with connection.cursor() as cursor:
        for row_key, sealed in sealed_rows(model, field):
            try:
                fresh = encrypt(decrypt(sealed))
            except InvalidToken as error:
                where = f"{model._meta.label}.{field.name} of {row_key}"
                raise CommandError(
                    f"{where} can't be read with any of FIELD_ENCRYPTION_KEYS. It is as it was."
                ) from error
            cursor.execute(
                f"UPDATE {table} SET {column} = %s WHERE {key} = %s AND {column} = %s",  # noqa: S608
                [fresh, row_key, sealed],
            )
            rewritten += cursor.rowcount
    return rewritten
