"""Password hashing that leaves the machine some air."""

from __future__ import annotations

import os
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher

# Each hash takes 100 MiB and a core for a tenth of a second: more of them at once than there are cores only slow each
# other, and everybody else, down.
_turns = BoundedSemaphore(os.cpu_count() or 1)


class QueuedArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2, as many at once as there are cores; the others wait in their threads."""

    def encode(self, password: str, salt: str) -> str:
        with _turns:
            return str(super().encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        with _turns:
            return bool(super().verify(password, encoded))
