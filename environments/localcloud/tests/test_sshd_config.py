"""AuthorizedKeysFile, as OpenSSH reads it."""

import pytest

from environments.localcloud.sshd_config import DEFAULT_FILES, authorized_keys_files, expand


@pytest.mark.parametrize(
    ("texts", "files"),
    [
        ([], DEFAULT_FILES),
        (["PermitRootLogin no\n"], DEFAULT_FILES),
        (["AuthorizedKeysFile /etc/a .b/c\n"], ("/etc/a", ".b/c")),
        (["AUTHORIZEDKEYSFILE=/etc/a\n"], ("/etc/a",)),
        (["  AuthorizedKeysFile\t=\t/etc/a  # remark\n"], ("/etc/a",)),
        (['AuthorizedKeysFile "/etc/with space" /etc/#a\n'], ("/etc/with space", "/etc/#a")),
        (["AuthorizedKeysFile none\n"], ()),
        (["# AuthorizedKeysFile /etc/a\nAuthorizedKeysFile /etc/b\nAuthorizedKeysFile /etc/c\n"], ("/etc/b",)),
        (["", "AuthorizedKeysFile /etc/a", "AuthorizedKeysFile /etc/b"], ("/etc/a",)),
        (["Match User x\n  AuthorizedKeysFile /etc/a\n", "AuthorizedKeysFile /etc/b"], ("/etc/b",)),
        (["Match User x\nPort 1\nMatch all\nAuthorizedKeysFile /etc/a\n"], ("/etc/a",)),
        (["AuthorizedKeysFile\nAuthorizedKeysFile # nothing\n"], DEFAULT_FILES),
    ],
)
def test_the_first_value_wins(texts: list[str], files: tuple[str, ...]) -> None:
    assert authorized_keys_files(texts) == files


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("/etc/keys", "/etc/keys"),
        (".ssh/keys", "/home/dev/.ssh/keys"),
        ("%h/keys/%u%%", "/home/dev/keys/dev%"),
        ("/etc/%u/keys", "/etc/dev/keys"),
        ("/etc/%k", None),
    ],
)
def test_names_are_expanded(file: str, path: str | None) -> None:
    assert expand(file, user="dev", home="/home/dev") == path
