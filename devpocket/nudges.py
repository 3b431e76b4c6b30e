"""The one door to the channel layer: small hints that a row has changed, never the facts themselves.

The layer delivers at most once, and whoever listens also looks again by itself, so a lost nudge delays and never harms.
"""

from __future__ import annotations

from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

log = structlog.get_logger(__name__)


def environment_group(environment_id: UUID) -> str:
    return f"environment.{environment_id}"


def owner_group(owner_id: UUID) -> str:
    """Of those who watch all environments of one user."""
    return f"owner.{owner_id}"


def session_group(session_id: UUID) -> str:
    return f"session.{session_id}"


def share_group(share_id: UUID) -> str:
    return f"share.{share_id}"


def nudge_on_commit(group: str, kind: str) -> None:
    """Tell the consumers of `group` to look again, once the running transaction is in.

    `kind` names the consumer's handler with dots for underscores ("environment.changed"). Call it from sync code.
    """
    transaction.on_commit(lambda: _send((group,), kind))


def environment_nudge_on_commit(environment_id: UUID, owner_id: UUID) -> None:
    """The same, to whoever watches the environment, or all of its owner's: it is new, has changed, or is gone."""
    groups = (environment_group(environment_id), owner_group(owner_id))
    transaction.on_commit(lambda: _send(groups, "environment.changed"))


def nudge_channel_on_commit(channel: str, kind: str) -> None:
    """Tell the one consumer at `channel` (its `channel_name`), in whatever process it is, once the running transaction
    is in. Where nobody listens there any more nothing happens. Call it from sync code.
    """
    transaction.on_commit(lambda: _send_to_channel(channel, kind))


def _send_to_channel(channel: str, kind: str) -> None:
    try:
        async_to_sync(get_channel_layer().send)(channel, {"type": kind})
    except Exception:
        log.exception("nudge_failed", channel=channel, kind=kind)


def _send(groups: tuple[str, ...], kind: str) -> None:
    try:
        async_to_sync(_send_each)(groups, kind)
    except Exception:
        log.exception("nudge_failed", groups=groups, kind=kind)


async def _send_each(groups: tuple[str, ...], kind: str) -> None:
    layer = get_channel_layer()
    for group in groups:
        await layer.group_send(group, {"type": kind})
