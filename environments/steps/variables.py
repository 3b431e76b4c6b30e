"""A running machine learns of changed variables: the file that its new shells read."""

from __future__ import annotations

from environments.cloud_init import ENVIRONMENT_FILE, environment_file
from environments.models import Environment
from environments.selectors import machine_spec
from environments.ssh import HostKeyMismatch, SSHUnavailable
from environments.steps.tools import ACTION_REPEAT_S, LATER_S, NextLook, Tools

WRITE_LIMIT_S = 15.0
# Written beside the file and moved over it, so that no shell reads half. Only root may, except on a simulated machine.
WRITE_COMMAND = f"""\
file="${{DEVPOCKET_ROOT:-}}{ENVIRONMENT_FILE}"; root=; [ -w "${{file%/*}}" ] || root="sudo -n"
$root sh -c 'umask 022; cat > "$1.new" && mv "$1.new" "$1"' sh "$file" && echo written
"""


async def tell_variables(environment: Environment, tools: Tools) -> NextLook:
    """None: it knows them."""
    changed_at = environment.variables_changed_at
    if changed_at is None or environment.variables_told_at == changed_at:
        return None
    text = await tools.read(lambda: _file_text(environment))
    try:
        result = await tools.ssh(environment, WRITE_COMMAND, timeout_s=WRITE_LIMIT_S, stdin=text.encode())
    except SSHUnavailable:
        return LATER_S
    except HostKeyMismatch:
        return None
    if result.stdout.strip() != "written":
        return ACTION_REPEAT_S
    await tools.record_facts(environment, variables_told_at=changed_at)
    return 0.0


def _file_text(environment: Environment) -> str:
    spec = machine_spec(environment)
    return environment_file(spec.variables, environment_id=spec.environment_id)
