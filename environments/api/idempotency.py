"""The `Idempotency-Key` of a request that its sender may repeat (contract 5.2)."""

from __future__ import annotations

import json

from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from devpocket.errors import InvalidInput
from environments.idempotency import Repeatable

HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY_MAX = 255


def read_repeatable(request: Request) -> Repeatable | None:
    """None: the request has no key. Raises: InvalidInput."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidInput.field(HEADER, f"{HEADER} has 1 to {KEY_MAX} printable ASCII characters.")
    # Keyed: a bare hash would let whoever reads the table try out passwords against it.
    canonical = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    return Repeatable(key, salted_hmac("environments.idempotency", canonical, algorithm="sha256").hexdigest())
