"""The machine's set-up, which it does by itself: waited for until people may be let in, and followed behind them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from environments.cloud_init import PROGRESS_FILE, InstallProgress, parse_progress
from environments.lifecycle import MESSAGES, SET_UP_LIMIT_S, Phase, TerminalWhen, installing_progress
from environments.models import Environment
from environments.set_up.steps import USER_READY_PERCENT
from environments.ssh import HostKeyMismatch, SSHUnavailable
from environments.steps.tools import LATER_S, SOON_S, NextLook, Tools, age_s, in_sh, wrong_host_key

READ_PROGRESS = in_sh(f'cat "${{DEVPOCKET_ROOT:-}}{PROGRESS_FILE}" 2>/dev/null; true')
SSH_TIMEOUT_S = 10.0
FAST_S = 30.0  # how long a machine that boots is looked at often
FOLLOW_FIRST_S, FOLLOW_MAX_S = 3.0, 30.0  # between two looks at a set-up behind a running machine
SETTLE_S = 300.0  # how long a machine that was started anew gets to begin what it failed in before


async def read_progress(environment: Environment, tools: Tools) -> tuple[InstallProgress, datetime | None]:
    """What the machine tells of its set-up, and when it last did. Raises: SSHUnavailable, HostKeyMismatch."""
    text = (await tools.ssh(environment, READ_PROGRESS, timeout_s=SSH_TIMEOUT_S)).stdout
    try:
        told_at = datetime.fromisoformat(text.rstrip().rpartition("\n")[2].partition(" ")[0])
    except ValueError:
        return parse_progress(text), None
    return parse_progress(text), told_at if told_at.tzinfo is not None else None


def is_open(environment: Environment, progress: InstallProgress) -> bool:
    """Whether people may be let in."""
    if environment.terminal_when == TerminalWhen.COMPLETE:
        return progress.is_complete
    return progress.percent >= USER_READY_PERCENT


def is_given_up(progress: InstallProgress) -> bool:
    """The machine has been through all its steps and lacks something: it tries that again when it boots next.

    A step that has failed alone is no end: others come after it.
    """
    return progress.failed and progress.phase == "completion"


def facts_of(progress: InstallProgress) -> dict[str, Any]:
    """The columns that keep what the machine tells."""
    return {
        "installation_completed": progress.is_complete,
        "install_percent": progress.percent,
        "install_phase": progress.phase,
        "install_message": progress.message,
        "install_error": "",
    }


def status_text(progress: InstallProgress) -> str:
    """What a running environment says of itself."""
    if progress.is_complete:
        return MESSAGES[Phase.RUNNING]
    return f"{progress.message or MESSAGES[Phase.INSTALLING]} ({progress.percent} %)"


# --- Before people are let in


async def install(environment: Environment, tools: Tools) -> NextLook:
    try:
        progress, _ = await read_progress(environment, tools)
    except SSHUnavailable:
        return while_booting(environment)
    except HostKeyMismatch as error:
        return await wrong_host_key(environment, tools, error)
    if is_open(environment, progress):
        await tools.record_phase(environment, Phase.CONFIGURING, **facts_of(progress))
        return 0.0
    if is_given_up(progress):
        await tools.record_error(environment, "installing_failed", f"The set-up failed: {progress.message}")
        return None
    until = 100 if environment.terminal_when == TerminalWhen.COMPLETE else USER_READY_PERCENT
    reached = installing_progress(progress.percent, until=until)
    await tools.record_progress(environment, reached, progress.message, **facts_of(progress))
    return while_booting(environment)


def while_booting(environment: Environment) -> NextLook:
    return SOON_S if age_s(environment.phase_changed_at) < FAST_S else LATER_S


# --- Behind them


async def follow_set_up(environment: Environment, tools: Tools) -> NextLook:
    """None: there is nothing to follow (any more). Raises: SSHUnavailable, HostKeyMismatch."""
    if not environment.is_being_set_up:
        return None
    age = age_s(environment.phase_changed_at)
    is_late = age > SET_UP_LIMIT_S * settings.DEADLINE_SCALE
    try:
        progress, told_at = await read_progress(environment, tools)
    except (SSHUnavailable, HostKeyMismatch):
        if not is_late:
            raise
        return await _give_up(environment, tools, {}, "The machine doesn't answer, so nobody knows how far it is")
    facts = facts_of(progress)
    if progress.is_complete:
        await _record(environment, tools, facts, status_text(progress), event="installation_completed")
        return None
    # A failure of before it was started is one that this boot is about to mend.
    if is_given_up(progress) and (is_late or age > SETTLE_S or _is_after(told_at, environment.phase_changed_at)):
        return await _give_up(environment, tools, facts, progress.message)
    if is_late:
        return await _give_up(environment, tools, facts, "It takes too long and isn't waited for any more")
    await _record(environment, tools, facts, status_text(progress))
    return min(FOLLOW_MAX_S, max(FOLLOW_FIRST_S, age / 20))


def _is_after(told_at: datetime | None, running_since: datetime) -> bool:
    return told_at is not None and told_at > running_since


async def _give_up(environment: Environment, tools: Tools, facts: dict[str, Any], why: str) -> NextLook:
    """It stays usable as it is, and is looked at again when it was started anew."""
    message = f"The set-up isn't complete: {why}"[:300]
    facts = {**facts, "install_error": message}
    await _record(environment, tools, facts, message, event="installation_failed")
    return None


async def _record(
    environment: Environment, tools: Tools, facts: dict[str, Any], message: str, *, event: str = ""
) -> None:
    """Being set up counts as use: it isn't stopped for being idle as soon as that is over (idle.py)."""
    if event:
        facts = {**facts, "busy_at": timezone.now()}
    await tools.record_progress(environment, environment.progress, message, event=event, **facts)
