"""The `Idempotency-Key` of a request that its sender may repeat (contract 5.2)."""

from __future__ import annotations

import json

from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from devpocket.errors import InvalidInput
from environments.idempotency import Repeatable

HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY_MAX = 255
PARAMETERS = [
    OpenApiParameter(
        HEADER,
        {"type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[ -~]*$"},
        OpenApiParameter.HEADER,
        description="Any text of yours. For a day the same request with it gets the first answer again.",
    ),
    OpenApiParameter(
        REPLAYED_HEADER,
        {"type": "string", "const": "true"},
        OpenApiParameter.HEADER,
        response=[201],
        description="The environment was created by an earlier request with this key.",
    ),
]


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
