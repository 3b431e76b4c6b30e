"""Public SSH keys of users' own. Whoever has machines of theirs is told of every change (settings.SSH_KEYS_CHANGED).

The platform's own key isn't among them: it is made with the account and never replaced, for it is the way to tell.
"""

from __future__ import annotations

from uuid import UUID

import asyncssh
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from accounts.errors import KeyTaken
from accounts.models import SSHKey, User
from devpocket.errors import InvalidInput, NotFound

log = structlog.get_logger(__name__)

LINE_MAX = 4 * 1024  # an RSA key of 16,384 bits has under 3 KiB
KEYS_MAX, KEYS_MAX_CHARS = 50, 16 * 1024  # of a user: all go into every machine's user-data, which ends at 64 KiB
RSA_MIN_BITS = 3072
KINDS = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
PRIVATE_MARKS = ("PRIVATE KEY", "PRIVATE-LINES", "PUTTY-USER-KEY-FILE")  # PEM and OpenSSH, and PuTTY's .ppk
PRIVATE_TEXT = (
    "This is a private key. Nothing was stored, but don't use it any more: it has left your machine. "
    "Paste the public half, the file that ends in .pub."
)


def parse_public_key(text: str) -> tuple[str, str, str]:
    """One OpenSSH line in order (kind, key, comment), its SHA-256 fingerprint, and its comment.

    Raises: InvalidInput on public_key; the text itself is in no message.
    """

    def refuse(message: str) -> InvalidInput:
        return InvalidInput.field("public_key", message)

    shouted = text.upper()
    if any(mark in shouted for mark in PRIVATE_MARKS):
        raise refuse(PRIVATE_TEXT)
    line = text.strip()
    if len(line) > LINE_MAX or len(line.splitlines()) != 1 or not line.isprintable():
        raise refuse("A public key is one line, as in the file that ends in .pub.")
    kind = line.split(" ", 1)[0]
    if kind not in KINDS:
        raise refuse("Only keys of the kinds ssh-ed25519, ecdsa-sha2-nistp* and ssh-rsa are taken.")
    try:
        key = asyncssh.import_public_key(line.encode())
    except (asyncssh.KeyImportError, ValueError) as error:
        raise refuse("This is no valid public key.") from error
    if kind == "ssh-rsa" and key.pyca_key.key_size < RSA_MIN_BITS:
        raise refuse(f"RSA keys need at least {RSA_MIN_BITS} bits. Better: ssh-keygen -t ed25519")
    return key.export_public_key("openssh").decode().strip(), key.get_fingerprint("sha256"), key.get_comment() or ""


def ssh_key_add(*, user: User, public_key: str, name: str | None) -> SSHKey:
    """Let a key in, to all the user's machines. Raises: InvalidInput, KeyTaken."""
    line, fingerprint, comment = parse_public_key(public_key)
    try:
        with transaction.atomic():
            _lock(user)
            stored = list(user.ssh_keys.values_list("public_key", flat=True))
            if len(stored) >= KEYS_MAX or sum(map(len, [*stored, line])) > KEYS_MAX_CHARS:
                message = "You have too many keys. Delete one that you don't use."
                raise InvalidInput.field("public_key", message, "max_length")
            key = SSHKey.objects.create(
                user=user, name=name or comment[:100] or fingerprint, public_key=line, fingerprint=fingerprint
            )
            _changed(user)
    except IntegrityError as error:
        message = "You have this key already."
        taken = {"field": "public_key", "message": message, "code": "taken"}
        raise KeyTaken(message, errors=[taken]) from error
    log.info("ssh_key_added", user=str(user.pk), fingerprint=fingerprint)
    return key


def ssh_key_delete(*, user: User, key_id: UUID) -> None:
    """Let it in no more; who is logged in with it stays so. Raises: NotFound."""
    with transaction.atomic():
        _lock(user)
        if not SSHKey.objects.filter(pk=key_id, user=user).delete()[0]:
            raise NotFound("There is no such key.")
        _changed(user)
    log.info("ssh_key_deleted", user=str(user.pk), key=str(key_id))


def ssh_keys_drop(*, user: User) -> None:
    """Let none of them in any more. Within the caller's transaction."""
    _lock(user)
    if user.ssh_keys.all().delete()[0]:
        _changed(user)
        log.info("ssh_keys_dropped", user=str(user.pk))


def _lock(user: User) -> None:
    """Changes take turns, also with the making of a machine, which is either told or made with the new keys."""
    User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()


def _changed(user: User) -> None:
    for path in settings.SSH_KEYS_CHANGED:
        import_string(path)(user_id=user.pk)
