"""The channel layer in tests, each of which has an event loop of its own."""

from __future__ import annotations

from typing import Any


async def layer_aclose(layer: Any) -> None:
    """Let go of what belongs to this test's event loop: Redis's sockets, and locks whose waiter was cancelled.

    channels_redis counts a cancelled waiter for ever, and so never forgets its lock: nothing to one loop, and an error
    to the next.
    """
    if hasattr(layer, "close_pools"):
        await layer.close_pools()
        layer.receive_clean_locks = type(layer.receive_clean_locks)()
