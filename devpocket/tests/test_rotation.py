"""manage.py rotate_encryption_keys, on whichever database the tests run."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import isolate_apps

from accounts.models import PlatformKey
from accounts.services import SignIn
from accounts.tests.rows import environment
from devpocket.crypto import EncryptedTextField, decrypt, encrypt
from devpocket.management.commands.rotate_encryption_keys import rotate
from environments.models import Environment

VARIABLES = {"TOKEN": "hunter2", "Ünïcode": "電話"}


def run() -> str:
    out = StringIO()
    call_command("rotate_encryption_keys", stdout=out)
    return out.getvalue()


def stored() -> dict[str, str]:
    """Every encrypted column as it lies in the database."""
    found = {}
    with connection.cursor() as cursor:
        for table, column in (
            ("accounts_platformkey", "private_key"),
            ("environments_environment", "host_private_key"),
            ("environments_environment", "environment_variables"),
        ):
            cursor.execute(f"SELECT {column} FROM {table}")
            found |= {f"{column} {index}": row[0] for index, row in enumerate(cursor.fetchall())}
    return found


def read() -> list[Any]:
    keys = PlatformKey.objects.order_by("pk").values_list("private_key", flat=True)
    row = Environment.objects.get()
    return [*keys, row.host_private_key, row.environment_variables]


@pytest.fixture
def secrets(ann: SignIn, ben: SignIn) -> list[Any]:
    """What is encrypted with the key `tests`."""
    environment(ann, environment_variables=VARIABLES)
    return read()


def test_after_it_the_old_key_may_go(secrets: list[Any], settings: Any) -> None:
    before = stored()
    settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]
    printed = run()
    assert "accounts.PlatformKey.private_key: 2 rewritten" in printed
    assert "environments.Environment.host_private_key: 1 rewritten" in printed
    assert "environments.Environment.environment_variables: 1 rewritten" in printed
    assert "hunter2" not in printed
    after = stored()
    assert len(before) == 4
    assert all(before[name] != after[name] for name in before)
    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert read() == secrets
    assert secrets[-1] == VARIABLES


def test_it_may_be_run_again_and_with_nothing_to_do(secrets: list[Any], settings: Any) -> None:
    for keys in (["tests"], ["new", "tests"], ["new", "tests"], ["new"], ["newer", "new"], ["newer"]):
        settings.FIELD_ENCRYPTION_KEYS = keys
        run()
    assert read() == secrets


@pytest.mark.django_db
def test_an_empty_database_is_fine() -> None:
    assert "PlatformKey.private_key: 0 rewritten" in run()


def test_where_no_key_fits_it_says_so_and_loses_nothing(secrets: list[Any], settings: Any) -> None:
    before = stored()
    settings.FIELD_ENCRYPTION_KEYS = ["new", "wrong"]
    with pytest.raises(CommandError, match="can't be read with any of FIELD_ENCRYPTION_KEYS"):
        run()
    assert stored() == before
    settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]
    run()
    assert read() == secrets


def test_a_row_that_was_written_meanwhile_is_left_alone(
    secrets: list[Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]

    def meanwhile(sealed: str) -> str:
        Environment.objects.update(host_private_key="newer")
        return decrypt(sealed)

    monkeypatch.setattr("devpocket.management.commands.rotate_encryption_keys.decrypt", meanwhile)
    assert rotate(Environment, Environment._meta.get_field("host_private_key")) == 0
    assert Environment.objects.get().host_private_key == "newer"


@isolate_apps("accounts")
@pytest.mark.django_db(transaction=True)
def test_rows_with_numbers_for_keys_and_empty_values(settings: Any) -> None:
    class Note(models.Model):
        text = EncryptedTextField(null=True)

        class Meta:
            app_label = "accounts"

        def __str__(self) -> str:
            return "note"

    with connection.schema_editor() as editor:
        editor.create_model(Note)
    try:
        for text in ("secret", "", None):
            Note.objects.create(text=text)
        settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]
        assert rotate(Note, Note._meta.get_field("text")) == 1
        settings.FIELD_ENCRYPTION_KEYS = ["new"]
        assert [note.text for note in Note.objects.order_by("pk")] == ["secret", "", None]
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Note)


def test_every_key_decrypts_and_the_first_encrypts(settings: Any) -> None:
    sealed = encrypt("x")
    settings.FIELD_ENCRYPTION_KEYS = ["new", "tests"]
    assert decrypt(sealed) == "x"
    sealed = encrypt("x")
    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert decrypt(sealed) == "x"
