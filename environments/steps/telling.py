"""A machine learns of what was changed since it was made: the variables of its shells, and the keys that may log in.

Which change it knows is in the row (`*_told_at`). User-data knows the changes of before it was made, and may be older
than what a lost answer makes us think; so it isn't counted, and telling once too often does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from accounts.selectors import authorized_keys
from environments.cloud_init import APPLY_COMMAND, authorized_keys_file, environment_file
from environments.models import Environment
from environments.selectors import machine_spec
from environments.steps.tools import ACTION_REPEAT_S, NextLook, Tools, in_sh, last_line, patience_s

log = structlog.get_logger(__name__)

WRITE_LIMIT_S = 10.0  # two of them and a look at the set-up fit into a step


@dataclass(frozen=True, slots=True)
class File:
    """`name`: as devpocket-apply knows it. `subject`: what its columns begin with."""

    name: str
    subject: str
    text: Callable[[Environment], str]

    def news_since(self, environment: Environment) -> datetime | None:
        """The change that the machine doesn't know; None: it knows all."""
        changed_at: datetime | None = getattr(environment, f"{self.subject}_changed_at")
        return None if changed_at == getattr(environment, f"{self.subject}_told_at") else changed_at


def _variables(environment: Environment) -> str:
    spec = machine_spec(environment)
    return environment_file(spec.variables, environment_id=spec.environment_id)


def _keys(environment: Environment) -> str:
    """The platform's own is always among them, or nobody could ever tell the machine anything again."""
    return authorized_keys_file(authorized_keys(environment.owner_id))


# Keys first: who isn't to be let in any more is what matters most.
FILES = (File("authorized_keys", "keys", _keys), File("environment.sh", "variables", _variables))


def apply_command(name: str) -> str:
    """Only root may, except on a simulated machine."""
    return in_sh(
        f'apply="${{DEVPOCKET_ROOT:-}}{APPLY_COMMAND}"\n'
        f'if [ -n "${{DEVPOCKET_ROOT:-}}" ]; then exec "$apply" {name}; else exec sudo -n "$apply" {name}; fi'
    )


def untold_since(environment: Environment) -> datetime | None:
    """The newest change that the machine doesn't know; None: it knows all."""
    return max((at for file in FILES if (at := file.news_since(environment)) is not None), default=None)


async def tell(environment: Environment, tools: Tools) -> NextLook:
    """None: it knows all. Raises: SSHUnavailable, HostKeyMismatch."""
    next_look: NextLook = None
    for file in FILES:
        changed_at = file.news_since(environment)
        if changed_at is None:
            continue
        text = await tools.read(lambda file=file: file.text(environment))  # type: ignore[misc]
        result = await tools.ssh(environment, apply_command(file.name), timeout_s=WRITE_LIMIT_S, stdin=text.encode())
        if last_line(result) == "written":
            await tools.record_facts(environment, **{f"{file.subject}_told_at": changed_at})
        else:
            log.warning("machine_not_told", environment=str(environment.pk), file=file.name, status=result.exit_status)
            next_look = max(ACTION_REPEAT_S, patience_s(changed_at))
    return next_look
