"""What is open in all processes, as rows: for the admin, for whoever counts a link's viewers, and to end one from afar.

What this process has open is in its memory, and its rows follow that: every RENEW_S they are made to say the same.
So a row whose removal failed goes then, and one comes (back), under its id, that couldn't be written for want of a
database, or that others took for a dead process's while this one was frozen. Meanwhile it is only not listed: nothing
asks the rows whether a socket may go on. A killed process's rows are deleted by whichever process comes first,
GONE_AFTER after they were last renewed.

Times are the database's: the clocks of two hosts need not agree.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from channels.db import database_sync_to_async
from django.db import Error, IntegrityError, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from devpocket.errors import NotFound
from devpocket.nudges import nudge_channel_on_commit
from devpocket.tasks import TaskOwner
from environments.records import event_record
from terminals import counters
from terminals.models import Mode, OpenTerminal

log = structlog.get_logger(__name__)

RENEW_S = 30.0
GONE_AFTER = timedelta(seconds=90)  # two renewals may fail
SHUTDOWN_LIMIT_S = 5.0
BATCH = 500  # rows in one statement: databases bound its parameters

PROCESS = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"

_open_here: dict[str, dict[str, Any]] = {}  # what this process has open: columns by channel name


# --- Services, all sync


def terminal_opened(
    *,
    channel_name: str,
    kind: OpenTerminal.Kind,
    user_id: UUID | None,
    share_id: UUID | None,
    environment_id: UUID,
    session: str,
    mode: Mode,
) -> UUID:
    """Note that a socket has been admitted; the id of its row. `session`: tmux's name of it, empty without tmux.

    Without a database the row is written later: that is no reason to refuse somebody a terminal.
    """
    terminal_id = uuid4()
    columns = {
        "id": terminal_id,
        "process": PROCESS,
        "channel_name": channel_name,
        "kind": kind,
        "user_id": user_id,
        "share_id": share_id,
        "environment_id": environment_id,
        "session": session,
        "mode": mode,
        "opened_at": timezone.now(),
    }
    _open_here[channel_name] = columns  # before its row is there: a row without it is one to delete
    counters.socket_opened(kind)
    try:
        _write([columns])
    except Error:
        log.exception("presence_write_failed", terminal=str(terminal_id))
    return terminal_id


def terminal_closed(*, channel_name: str) -> None:
    """The socket is gone. Harmless for one that was never noted, and the second time.

    By the name that a consumer has from the beginning: one that is cancelled while it opens never hears of its id.
    Without a database the row goes later.
    """
    columns = _open_here.pop(channel_name, None)
    if columns is None:
        return
    try:
        OpenTerminal.objects.filter(pk=columns["id"]).delete()
    except Error:
        log.exception("presence_write_failed", terminal=str(columns["id"]))


def terminal_terminate(*, terminal_id: UUID, actor_id: UUID) -> None:
    """Have a socket closed, in whatever process it is. Its shell lives on in tmux, and its user may open it again.

    The row goes when its socket does. Where the order gets lost (the channel layer promises nothing) it stays listed,
    and can be terminated again. Raises: NotFound (not open any more).
    """
    with transaction.atomic():
        terminal = open_terminals().select_related("environment").filter(pk=terminal_id).first()
        if terminal is None:
            raise NotFound("This terminal is not open any more.")
        whose = "A guest's" if terminal.share_id is not None else "Its owner's"
        event_record(
            terminal.environment,
            kind="terminal_terminated",
            actor_id=actor_id,
            message=f"{whose} {terminal.get_kind_display().lower()}, opened at {terminal.opened_at:%H:%M} UTC",
        )
        nudge_channel_on_commit(terminal.channel_name, "terminal.terminated")
    log.info("terminal_terminated", environment=str(terminal.environment_id), terminal=str(terminal_id))


# --- Selectors


def open_terminals() -> QuerySet[OpenTerminal]:
    """All sockets of all processes that were open GONE_AFTER ago or later."""
    return OpenTerminal.objects.filter(seen_at__gte=Now() - GONE_AFTER)


def open_by_process() -> list[tuple[str, int]]:
    """Each process that has sockets open, and how many."""
    rows = open_terminals().values_list("process").annotate(count=Count("pk")).order_by("process")
    return list(rows)


def open_here(kind: str, mode: str) -> int:
    """How many of them this process has."""
    return sum(row["kind"] == kind and row["mode"] == mode for row in list(_open_here.values()))


counters.sockets_watch({(kind, mode): partial(open_here, kind, mode) for kind in OpenTerminal.Kind for mode in Mode})


# --- Rows that follow what is open


def presence_renew() -> None:
    """Make this process's rows say what it has open, and that it still has. Sync. Raises: django.db.Error."""
    rows = OpenTerminal.objects.filter(process=PROCESS)
    rows.update(seen_at=Now())
    written = set(rows.values_list("pk", flat=True))
    here = {columns["id"]: columns for columns in list(_open_here.values())}  # after looking: nothing new looks closed
    closed, missing = list(written - here.keys()), list(here.keys() - written)
    for at in range(0, len(closed), BATCH):
        OpenTerminal.objects.filter(pk__in=closed[at : at + BATCH]).delete()
    for at in range(0, len(missing), BATCH):
        _write([here[pk] for pk in missing[at : at + BATCH]])


def presence_prune() -> None:
    """Delete what nobody has renewed for GONE_AFTER: its process was killed. Sync."""
    count, _ = OpenTerminal.objects.filter(seen_at__lt=Now() - GONE_AFTER).delete()
    if count:
        log.info("presence_pruned", terminals=count)


def presence_clear() -> None:
    """Delete all of this process. Sync."""
    OpenTerminal.objects.filter(process=PROCESS).delete()


def _write(rows: list[dict[str, Any]]) -> None:
    """Add rows; those that are there already stay as they are. Raises: django.db.Error."""
    rows = [row for row in rows if _open_here.get(row["channel_name"]) is row]  # else closed meanwhile
    try:
        with transaction.atomic():
            OpenTerminal.objects.bulk_create(
                [OpenTerminal(**row, seen_at=Now()) for row in rows], ignore_conflicts=True
            )
    except IntegrityError:
        # One is of an environment or a user whose row is gone: its socket finds out by itself. The others count.
        if len(rows) > 1:
            for row in rows:
                _write([row])


class Presence:
    """The loop."""

    def __init__(self, *, renew_s: float = RENEW_S) -> None:
        self._renew_s = renew_s

    async def run(self) -> None:
        """Renew and prune until cancelled. A database that is away for a moment ends nothing."""
        while True:
            for step in (presence_renew, presence_prune):
                try:
                    await database_sync_to_async(step)()
                except Exception:
                    log.exception("presence_step_failed", step=step.__name__)
            await asyncio.sleep(self._renew_s)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Renew for as long as the server runs. Afterwards its rows go at once."""
    tasks = TaskOwner()
    tasks.start(Presence().run(), name="presence")
    try:
        yield
    finally:
        await tasks.aclose()
        try:
            async with asyncio.timeout(SHUTDOWN_LIMIT_S):
                await database_sync_to_async(presence_clear)()
        except Exception:
            log.exception("presence_clear_failed")  # others prune them
