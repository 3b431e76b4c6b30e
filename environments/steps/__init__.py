"""One step of an environment from what is to what is wanted: look at the cloud, do one thing, say when to look again.

Each step may be repeated, and may die at any line: what it is about to ask of the cloud is in the row before it asks,
and what exists is found by the tag that the row gives (`Environment.tag`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from environments.lifecycle import Desired, Phase
from environments.models import Environment, Snapshot
from environments.records import usual_limit_s
from environments.steps import installing, power, up
from environments.steps.snapshots import find_pending, make
from environments.steps.teardown import tear_down
from environments.steps.tools import NEXT_VIEW, SHARED_TAG, CloudView, GivenUp, NextLook, Tools

__all__ = ["NEXT_VIEW", "SHARED_TAG", "CloudView", "NextLook", "Tools", "needs_view", "step"]


async def step(environment: Environment, tools: Tools) -> NextLook:
    """Bring the environment one step on. Raises: CloudError, LeaseLost; then the row is as it was, or further."""
    if environment.desired_state == Desired.DELETED:
        return await tear_down(environment, tools)
    phase = Phase(environment.phase)
    if phase in USES_DROPLET and (pending := await tools.read(lambda: find_pending(environment))) is not None:
        return await _let_it_finish(environment, tools, pending)
    if await _is_too_late(environment, tools):
        await tools.record_error(environment, f"{phase}_timeout", f"This took too long and was given up: {phase}.")
        return None
    handler = HANDLERS.get(phase)
    if handler is None:
        return None
    try:
        return await handler(environment, tools)
    except GivenUp as error:
        await tools.record_error(environment, error.code, error.message)
        return None


async def _is_too_late(environment: Environment, tools: Tools) -> bool:
    """Past the phase's deadline. What waits for a cloud that doesn't answer has its time once it answers again."""
    deadline_at, view = environment.deadline_at, tools.view
    if deadline_at is None or timezone.now() <= deadline_at:
        return False
    if not needs_view(environment):
        return True
    if view is None or view.taken_at <= deadline_at:
        return False  # nothing has been heard of it since
    if view.back_at is None or view.back_at <= environment.phase_changed_at:
        return True
    limit_s = (usual_limit_s(environment) or 0.0) * settings.DEADLINE_SCALE
    later = view.back_at + timedelta(seconds=limit_s)
    if later > deadline_at:
        await tools.record_facts(environment, deadline_at=later)
    return timezone.now() > later


async def _let_it_finish(environment: Environment, tools: Tools, pending: Snapshot) -> NextLook:
    """A snapshot under way comes first; the phase gets its time afterwards. The snapshot has a deadline of its own."""
    limit_s = (usual_limit_s(environment) or 0.0) * settings.DEADLINE_SCALE
    begins_at = timezone.now() + timedelta(seconds=limit_s)
    if environment.deadline_at is not None and environment.deadline_at < begins_at:
        await tools.record_facts(environment, deadline_at=begins_at)
    return await make(environment, tools, pending)


HANDLERS: dict[Phase, Callable[[Environment, Tools], Awaitable[NextLook]]] = {
    Phase.CREATING: up.create,
    Phase.PROVISIONING: up.provision,
    Phase.INSTALLING: installing.install,
    Phase.CONFIGURING: up.run_when_login_works,
    Phase.STARTING: up.start,
    Phase.STOPPING: power.stop,
    Phase.RESTARTING: power.restart,
    Phase.RESIZING: power.resize,
    Phase.RUNNING: power.check_running,
    Phase.STOPPED: power.check_stopped,
    Phase.ERROR: power.check_error,
}
USES_DROPLET = frozenset({Phase.STARTING, Phase.STOPPING, Phase.RESTARTING, Phase.RESIZING})
WAITING_FOR_DROPLET = frozenset({Phase.PROVISIONING, Phase.TERMINATED, *USES_DROPLET})


def needs_view(environment: Environment) -> bool:
    """Whether the row's next step wants a listing that is newer than the row."""
    return environment.phase in WAITING_FOR_DROPLET
