"""What the cache writes into Redis, signed: it is pickle, which runs code when it is read.

So whoever can write to Redis, but has no SECRET_KEY, gets a miss and a line in the log, and not the server.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import structlog
from django.conf import settings
from django.core.cache.backends.redis import RedisSerializer

log = structlog.get_logger(__name__)

DIGEST_BYTES = hashlib.sha256().digest_size


class SignedSerializer(RedisSerializer):
    """Whole numbers are kept as they are: Redis counts with them."""

    def __init__(self) -> None:
        super().__init__()
        self._key = hashlib.sha256(b"devpocket.signed_cache" + settings.SECRET_KEY.encode()).digest()

    def dumps(self, obj: Any) -> Any:
        if type(obj) is int:
            return obj
        data: bytes = super().dumps(obj)
        return self._sign(data) + data

    def loads(self, data: bytes) -> Any:
        """None where it is not ours, as if nothing were there."""
        try:
            return int(data)
        except ValueError:
            pass
        digest, data = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._sign(data)):
            log.error("cache_entry_not_ours")
            return None
        return super().loads(data)

    def _sign(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")
