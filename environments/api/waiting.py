"""Holding an action's answer until it is done: phones never poll (contract T21)."""

from __future__ import annotations

import asyncio

from channels.db import database_sync_to_async
from django.conf import settings

from devpocket import stopping
from environments.lifecycle import AT_REST, Phase
from environments.models import Environment
from environments.selectors import get_phase

FINAL = AT_REST | {Phase.ERROR, Phase.TERMINATED}
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0


async def final_phase(environment: Environment) -> Phase:
    """The phase once it is a final one, or as it is when `settings.ACTION_WAIT_SECONDS` are over, or the server stops.

    Between two looks it holds neither a database connection nor work for a thread. Raises: NotFound, when the
    environment was deleted meanwhile.
    """
    clock = asyncio.get_running_loop().time
    phase, pause_s = Phase(environment.phase), FIRST_PAUSE_S
    give_up_at = clock() + settings.ACTION_WAIT_SECONDS
    if phase in FINAL or settings.ACTION_WAIT_SECONDS <= 0:
        return phase
    while phase not in FINAL and (left_s := give_up_at - clock()) > 0 and not stopping.is_begun():
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
        phase = await database_sync_to_async(get_phase)(environment.pk)
    return phase
